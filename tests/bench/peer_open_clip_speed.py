"""Run inside .venv-peers: what open_clip's own loader and its own trainer cost.

    .venv-peers/bin/python -m tests.bench.peer_open_clip_speed load SHARDS BATCH_SIZE [SHARDS BATCH_SIZE ...]

Prints JSON: for each pattern of shards the seconds of CPU for each sample of one epoch.
"""

import json
import sys
import time
from typing import Any

import torch

from tests.bench.peer_ops import define_torchvision_ops


def load(*requests: str) -> list[float]:
    """Return the CPU seconds a sample, for each pair of a pattern and a batch size."""
    return [
        _load(shards, int(batch_size))
        for shards, batch_size in zip(requests[::2], requests[1::2], strict=True)
    ]


def _load(shards: str, batch_size: int) -> float:
    # As in a worker of a DataLoader: threads would only wait for one another.
    torch.set_num_threads(1)
    dataset = _loader(shards, batch_size)
    start, num_samples = time.process_time(), 0
    for images, texts in dataset:
        assert images.shape[1:] == (3, 224, 224)
        assert texts.shape[1:] == (77,)
        num_samples += len(images)
    return (time.process_time() - start) / num_samples


def _loader(shards: str, batch_size: int, image_side_px: int = 224) -> Any:
    """Return the loader of open_clip's trainer with its default transforms, within this process."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from open_clip_train.data import get_wds_dataset
    from open_clip_train.params import parse_args

    flags = ["--train-data", shards, "--dataset-type", "webdataset", "--workers", "0"]
    args = parse_args([*flags, "--batch-size", str(batch_size)])
    args.world_size, args.rank = 1, 0  # what init_distributed_device sets for one process
    transform = image_transform_v2(PreprocessCfg(size=image_side_px), is_train=True)
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    return get_wds_dataset(args, transform, True, tokenizer=tokenizer).dataloader


def main(arguments: list[str]) -> None:
    """Do one job and print what it found."""
    define_torchvision_ops()
    name, *rest = arguments
    print(json.dumps({"load": load}[name](*rest)))


if __name__ == "__main__":
    main(sys.argv[1:])
