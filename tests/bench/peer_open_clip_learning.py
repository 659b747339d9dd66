"""Run inside .venv-peers: open_clip's trainer, from nothing to a model.

    .venv-peers/bin/python -m tests.bench.peer_open_clip_learning SHARDS FOLDER SETTINGS.json

FOLDER holds open_clip_config.json, whose model is made anew and trained by `train_one_epoch`, as open_clip's
main calls it; its weights go to FOLDER/open_clip_model.safetensors. Prints JSON: the CPU seconds it took.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from tests.bench.peer_open_clip_speed import groups_of
from tests.bench.peer_ops import define_torchvision_ops


def learn(shards: str, folder: Path, settings: dict[str, Any]) -> None:
    """Train and write the weights."""
    import open_clip
    from open_clip.transform import PreprocessCfg, image_transform_v2
    from open_clip_train.data import get_wds_dataset
    from open_clip_train.main import random_seed
    from open_clip_train.params import parse_args
    from open_clip_train.scheduler import cosine_lr
    from open_clip_train.train import train_one_epoch

    flags = ["--train-data", shards, "--dataset-type", "webdataset", "--workers", "0", "--report-to", ""]
    flags += ["--model", "", "--precision", settings["precision"], "--seed", str(settings["seed"])]
    args = parse_args([*flags, "--batch-size", str(settings["batch_size"])])
    args.device, args.distributed, args.rank, args.local_rank, args.world_size = "cpu", False, 0, 0, 1
    args.distill, args.save_logs, args.wandb, args.tensorboard = False, False, False, False
    random_seed(args.seed, 0)
    config = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    model = open_clip.CLIP(**config, output_dict=True)
    random_seed(args.seed, args.rank)  # once more, as its main does
    betas = (settings["beta1"], settings["beta2"])
    optimizer = torch.optim.AdamW(
        groups_of(model, settings["weight_decay"]), lr=settings["lr"], betas=betas, eps=settings["eps"]
    )
    transform = image_transform_v2(PreprocessCfg(size=config["vision_cfg"]["image_size"]), is_train=True)
    tokenizer = open_clip.SimpleTokenizer(context_length=config["text_cfg"]["context_length"])
    data = {"train": get_wds_dataset(args, transform, True, tokenizer=tokenizer)}
    num_steps = data["train"].dataloader.num_batches * settings["num_epochs"]
    schedule = cosine_lr(optimizer, settings["lr"], settings["num_warmup_steps"], num_steps)
    loss = open_clip.ClipLoss(cache_labels=True)
    for epoch in range(settings["num_epochs"]):
        train_one_epoch(model, data, loss, epoch, optimizer, None, schedule, None, args)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    safetensors.torch.save_file(state, folder / "open_clip_model.safetensors")


def main(shards: str, folder: str, settings: str) -> None:
    """Train and print what it cost."""
    define_torchvision_ops()
    learn(shards, Path(folder), json.loads(settings))
    print(json.dumps(time.process_time()))


if __name__ == "__main__":
    main(*sys.argv[1:])
