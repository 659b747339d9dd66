"""Run inside .venv-peers: open_clip's own data loader reads our shards, as its trainer would.

    .venv-peers/bin/python -m tests.bench.peer_open_clip 'DATASET/shards/{00000..00002}.tar' --batch-size 4

Prints JSON: the number of samples that open_clip finds in sizes.json, and each (caption, SHA-256 of the
decoded pixels) of one epoch and of one pass of the evaluation loader.
"""

import argparse
import hashlib
import json
import sys

from PIL import Image

from tests.bench.peer_ops import define_torchvision_ops


def main(arguments: list[str]) -> None:
    """Read the shards with both of open_clip's loaders and print what they gave."""
    parser = argparse.ArgumentParser()
    parser.add_argument("shards")
    parser.add_argument("--batch-size", type=int, required=True)
    request = parser.parse_args(arguments)
    define_torchvision_ops()
    from open_clip_train.data import get_wds_dataset
    from open_clip_train.params import parse_args

    flags = ["--train-data", request.shards, "--val-data", request.shards, "--dataset-type", "webdataset"]
    args = parse_args([*flags, "--batch-size", str(request.batch_size), "--workers", "0"])
    args.world_size, args.rank = 1, 0  # what init_distributed_device sets for one process
    found = {}
    for is_train in (True, False):
        info = get_wds_dataset(args, pixels_sha256, is_train, tokenizer=lambda text: [text])
        pairs = [pair for images, texts in info.dataloader for pair in zip(texts, images, strict=True)]
        found["train" if is_train else "val"] = {"num_samples": info.dataloader.num_samples, "pairs": pairs}
    print(json.dumps(found))


def pixels_sha256(image: Image.Image) -> str:
    """Return the hash of a picture as open_clip hands it to a model's transforms."""
    return hashlib.sha256(image.tobytes()).hexdigest()


if __name__ == "__main__":
    main(sys.argv[1:])
