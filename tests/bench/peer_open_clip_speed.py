"""Run inside .venv-peers: what open_clip's own loader and its own trainer cost.

    .venv-peers/bin/python -m tests.bench.peer_open_clip_speed load SHARDS BATCH_SIZE [SHARDS BATCH_SIZE ...]
    .venv-peers/bin/python -m tests.bench.peer_open_clip_speed train SHARDS BATCH_SIZE MODEL.json PRECISION
    .venv-peers/bin/python -m tests.bench.peer_open_clip_speed loss BATCH_SIZE WIDTH

Prints JSON: the seconds of CPU for each sample of one epoch: for each pattern of shards, or of the trainer's
steps but for the first; or the MiB that its loss takes with its gradients.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
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


def train(shards: str, batch_size: str, model_json: str, precision: str) -> float:
    """Return the CPU seconds a sample of open_clip's trainer, loading included, after the first step."""
    import open_clip
    from open_clip_train.params import parse_args
    from open_clip_train.scheduler import cosine_lr
    from open_clip_train.train import train_one_epoch

    args = parse_args(
        ["--model", "", "--batch-size", batch_size, "--precision", precision, "--report-to", ""]
    )
    args.device, args.distributed, args.rank, args.local_rank, args.world_size = "cpu", False, 0, 0, 1
    args.distill, args.save_logs, args.wandb, args.tensorboard = False, False, False, False
    config = json.loads(model_json)
    model = open_clip.CLIP(**config, output_dict=True)
    optimizer = torch.optim.AdamW(groups_of(model, 0.2), lr=1e-4, betas=(0.9, 0.98), eps=1e-6)
    loader = _Timed(_loader(shards, int(batch_size), config["vision_cfg"]["image_size"]))
    schedule = cosine_lr(optimizer, 1e-4, 1, loader.num_batches)
    loss = open_clip.ClipLoss(cache_labels=True)
    train_one_epoch(model, {"train": _Data(loader)}, loss, 0, optimizer, None, schedule, None, args)
    seconds = time.process_time() - loader.first_step_done
    return seconds / ((loader.num_batches - 1) * int(batch_size))


def loss(batch_size: str, width: str) -> float:
    """Return what open_clip's loss of random features and its gradients take at the most, in MiB."""
    import open_clip

    def once(number: int) -> float:
        images, texts = (torch.randn(number, int(width), requires_grad=True) for _ in range(2))
        scale, before = torch.tensor(100.0, requires_grad=True), _peak_mib()
        units = [torch.nn.functional.normalize(part, dim=-1) for part in (images, texts)]
        open_clip.ClipLoss()(*units, scale).backward()
        return _peak_mib() - before

    once(512)  # what torch loads with its first product is no part of it
    return once(int(batch_size))


def _peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:"))) / 1024


def groups_of(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return open_clip_train.main's groups of parameters, which it makes within a function of 400 lines."""
    parameters = list(model.parameters())
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim < 2], "weight_decay": 0.0},
        {
            "params": [parameter for parameter in parameters if parameter.ndim >= 2],
            "weight_decay": weight_decay,
        },
    ]


class _Timed:
    """A loader that notes when its second batch is asked for."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self.num_batches: int = loader.num_batches
        self.num_samples: int = loader.num_samples
        self.first_step_done = 0.0  # CPU seconds of the process

    def __iter__(self) -> Iterator[Any]:
        for number, batch in enumerate(self._loader):
            yield batch
            if number == 0:
                self.first_step_done = time.process_time()


class _Data:
    """What open_clip's trainer asks of its data."""

    def __init__(self, loader: _Timed) -> None:
        self.dataloader = loader

    def set_epoch(self, epoch: int) -> None:
        """There is but one."""


def main(arguments: list[str]) -> None:
    """Do one job and print what it found."""
    define_torchvision_ops()
    name, *rest = arguments
    jobs: dict[str, Callable[..., Any]] = {"load": load, "train": train, "loss": loss}
    print(json.dumps(jobs[name](*rest)))


if __name__ == "__main__":
    main(sys.argv[1:])
