"""The smallest run that is still a run: what the trainer's tests share."""

from dataclasses import replace
from pathlib import Path

from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.models.clip import ClipVit

TINY_MODEL = ClipVit.tiny()


def tiny_config(**changes: object) -> TrainConfig:
    """Return a config for `make_dataset`'s 8 pairs: 2 steps an epoch, some milliseconds each."""
    config = TrainConfig(
        recipe="tiny",
        model=TINY_MODEL,
        data=DataConfig(batch_size=4, min_crop_share=0.5),
        optim=OptimConfig(peak_lr=1e-2, num_warmup_steps=2),
        tokenizer=TokenizerConfig(vocab_size=300),
        num_epochs=3,
        device="cpu",
        precision="float32",
        log_every_steps=1,
        checkpoint_every_steps=2,
    )
    return replace(config, **changes)  # type: ignore[arg-type]  # the names are checked by `replace`


def tiny_flags(data: Path, run: Path, *, num_epochs: int) -> list[str]:
    """Return the arguments of `fit` that make a recipe as small as `tiny_config`."""
    flags = {
        "data": data,
        "run": run,
        "num-epochs": num_epochs,
        "model.image-side-px": 16,
        "model.vision-width": 32,
        "model.vision-num-layers": 1,
        "data.batch-size": 4,
        "tokenizer.vocab-size": 300,
        "log-every-steps": 1,
        "checkpoint-every-steps": 5,
    }
    return ["cifar10", *(word for name, value in flags.items() for word in (f"--{name}", str(value)))]
