"""What changes while a run goes on, how it begins, and how it is taken up again."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from manifests.store import write_bytes
from train.checkpoint import Checkpoint, load_checkpoint
from train.checkpoint_writer import CheckpointWriter
from train.config import TrainConfig, differences, to_json
from train.distributed import is_first, local_rank, num_processes, wait_for_all
from train.ema import Ema
from train.interchange.start import start_of
from train.mix import Datasets, Part, describe_mix, mix_of
from train.models import model_to_json
from train.models.clip import Clip
from train.optim import build_optimizer, halve_text_weights
from train.parallel import SpreadTowers, Towers, whole
from train.parts import own_part
from train.speed import set_speed
from train.tokenizer import Tokenizer, build_tokenizer, load_tokenizer

# These may change from one start of a run to the next, because the curve does not depend on them.
_FREE = (
    *("data.num_decode_threads", "data.micro_batch_size", "data.max_bad_pictures", "parallel", "ledger"),
    "data.cache",
    "data.passes",  # in another order of --data they are others; what counts stands in `dataset`
    *("speed.compile", "speed.recompute"),
    *("checkpoint_every_steps", "checkpoint_form", "num_checkpoints_kept", "init"),
    *("evals", "wandb_project"),
)
# exp(logit_scale) and bias that the sigmoid loss begins with (Zhai et al. 2023, section 3.2).
_SIGLIP_SCALE, _SIGLIP_BIAS = 10.0, -10.0


@dataclass(kw_only=True)
class TrainState:
    """A run after `step` steps."""

    step: int
    model: Clip
    towers: SpreadTowers  # the same model, over all processes
    optimizer: torch.optim.Optimizer
    ema: Ema | None
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    in_parts: bool = False  # whether each process writes its own part of a checkpoint
    description: dict[str, Any]

    def autocast(self) -> torch.autocast:
        """Return the context in which the towers run."""
        return _autocast(self.device, self.dtype)

    def checkpoint(self) -> Checkpoint | None:
        """Return what this process writes of what `begin_or_resume` goes on from to the bit, in tensors of
        its own: all or nothing of it, or its part. All processes must ask."""
        model, optimizer = self.towers.state(self.optimizer, self.in_parts)
        ema = self.ema.state() if self.ema else {}
        if not self.in_parts:
            ema = {name: whole(value) for name, value in ema.items()}
            if not is_first():
                return None
        return Checkpoint(
            step=self.step,
            config=self.description,
            tokenizer_kind=self.tokenizer.kind,
            tokenizer_state=self.tokenizer.state(),
            model=own_part(model, is_first()),
            optimizer=own_part(optimizer, is_first()),
            rng_state=torch.get_rng_state(),
            ema=own_part(ema, is_first()),
        )

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up a checkpoint, which every process has read."""
        self.step = checkpoint.step
        self.towers.restore(self.optimizer, checkpoint.model, checkpoint.optimizer)
        if self.ema:
            self.ema.restore(checkpoint.ema)
        torch.set_rng_state(checkpoint.rng_state)


def begin_or_resume(config: TrainConfig, datasets: Datasets, run_dir: Path) -> TrainState:
    """Return the state to go on from: the newest checkpoint's, or a new model's, which is saved as step 0.

    Raises ValueError for a run that was begun with another config or dataset.
    """
    parts = mix_of(datasets, config.data.passes)
    description = describe_run(config, parts)
    checkpoint = load_checkpoint(run_dir)
    start = None if checkpoint else start_of(config)
    wait_for_all()  # none may write before all have read
    if checkpoint:
        _refuse_other_run(checkpoint.config, description, run_dir)
        tokenizer = load_tokenizer(checkpoint.tokenizer_kind, checkpoint.tokenizer_state)
    else:
        if is_first():
            write_bytes(run_dir / "config.json", (json.dumps(description, indent=1) + "\n").encode())
        tokenizer = start.tokenizer if start else build_tokenizer(config.tokenizer, _captions(parts))
    torch.manual_seed(config.seed)
    device = pick_device(config)
    model = config.model.build(tokenizer.vocab_size).to(device)
    if config.loss == "siglip":
        nn.init.constant_(model.logit_scale, math.log(_SIGLIP_SCALE))
    if start:
        model.load_state_dict(start.state)
    dtype = pick_dtype(config, device)
    if config.optim.text_weights == "bfloat16":
        _refuse_without_bfloat16(config, dtype)
        halve_text_weights(model)
    set_speed(model, config.speed, _autocast(device, dtype))
    towers = Towers(model, _SIGLIP_BIAS if config.loss == "siglip" else None).to(device)
    spread = SpreadTowers(towers, config.parallel)
    state = TrainState(
        step=0,
        model=model,
        towers=spread,
        optimizer=build_optimizer(towers, config.optim),
        ema=None if config.ema_decay is None else Ema(model, config.ema_decay),
        tokenizer=tokenizer,
        device=device,
        dtype=dtype,
        in_parts=_in_parts(config),
        description=description,
    )
    if checkpoint:
        state.restore(checkpoint)
    else:
        with CheckpointWriter(run_dir, config.num_checkpoints_kept, state.in_parts) as writer:
            if first := state.checkpoint():
                writer.write(first)
    wait_for_all()
    return state


def _in_parts(config: TrainConfig) -> bool:
    if config.checkpoint_form == "auto":
        return config.parallel == "fsdp" and num_processes() > 1
    return config.checkpoint_form == "parts"


def _refuse_without_bfloat16(config: TrainConfig, dtype: torch.dtype) -> None:
    if dtype != torch.bfloat16 or config.parallel == "fsdp":
        raise ValueError(
            f"optim.text_weights is bfloat16 with {dtype} and {config.parallel}, must be with bfloat16 and "
            "ddp. Next: --precision bfloat16 --parallel ddp, or leave it out"
        )


def _autocast(device: torch.device, dtype: torch.dtype) -> torch.autocast:
    return torch.autocast(device.type, dtype, enabled=dtype != torch.float32)


def describe_run(config: TrainConfig, parts: Sequence[Part]) -> dict[str, Any]:
    """Return run/config.json: every field of the config, and which datasets they are, by content and not by
    place.
    """
    model = model_to_json(config.model)
    description = {**to_json(config), "model": model, "dataset": describe_mix(parts)}
    # Once through JSON, so that it equals what is read back from a checkpoint.
    plain: dict[str, Any] = json.loads(json.dumps(description))
    return plain


def pick_device(config: TrainConfig) -> torch.device:
    """Return the device to train on. Raises ValueError for a GPU that is not there."""
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("device is cuda, but torch finds no GPU here. Next: pass --device cpu")
    name = config.device if config.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name, local_rank()) if name == "cuda" else torch.device(name)


def pick_dtype(config: TrainConfig, device: torch.device) -> torch.dtype:
    """Return the type in which the towers multiply; parameters and the loss are float32 always."""
    if config.precision != "auto":
        return torch.bfloat16 if config.precision == "bfloat16" else torch.float32
    return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32


def _refuse_other_run(begun: dict[str, Any], asked: dict[str, Any], run_dir: Path) -> None:
    lines = [line for line in differences(begun, asked) if not line.startswith(_FREE)]
    if lines:
        raise ValueError(
            f"{run_dir} was begun differently: {'; '.join(lines)}. "
            f"Next: pass another --run, or the same settings"
        )


def _captions(parts: Sequence[Part]) -> Iterator[str]:
    for dataset in (part.dataset for part in parts):
        for shard in dataset.manifest.shards:
            yield from dataset.read_index(shard, ["caption"])["caption"].to_pylist()
