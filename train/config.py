"""What a training run is: one frozen dataclass, checked on construction. Nothing here reads a file or
imports torch.

`ModelConfig` is the one open part: every architecture brings its own (see `train.models`), and the command
line and `config.json` follow from whichever a recipe holds.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from manifests.places import Place

if TYPE_CHECKING:
    from train.models.clip import Clip


@dataclass(frozen=True, kw_only=True)
class ModelConfig(ABC):
    """What the rest of the trainer asks of an architecture: two sizes, and a model."""

    image_side_px: int
    context_length: int  # tokens, start and end of text included

    @abstractmethod
    def build(self, vocab_size: int) -> Clip:
        """Return a freshly initialised model; its randomness comes from torch's default generator.

        It has `encode_image` and `encode_text`, each to (B, embed_dim), and `logit_scale`. Token ids (B, L)
        begin with the start of text and end with the end of text, which is the highest id; 0 fills up.
        """

    @classmethod
    @abstractmethod
    def tiny(cls) -> Self:
        """Return the smallest configuration that learns: what tests and `fit tiny_<model>` use."""


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """How pairs become batches."""

    batch_size: int  # pairs that are told apart in a step, of all processes together
    micro_batch_size: int | None = (
        None  # pairs of a process whose activations are in memory at once; None: its whole share
    )
    min_crop_share: float = (
        1.0  # smallest training crop, as a share of the shorter side; 1 is the paper's crop
    )
    flip: bool = False  # mirror half of the training pictures; wrong where captions say left and right
    num_decode_threads: int = 2
    max_window_pairs: int = (
        1_000_000  # that are shuffled together and whose index is in memory; a smaller dataset is one window
    )
    passes: tuple[float, ...] | None = (
        None  # of an epoch through each dataset of --data, in their order: 1 1 0.3; None: one through each
    )
    cache: Path | None = None  # folder of this machine in which shards are kept that lie elsewhere
    cache_gb: float = 100.0  # that the folder never exceeds; what was not used for longest is thrown out
    extra_captions: bool = False  # take one of a picture's captions by chance, those of its copies too
    max_bad_pictures: int | None = None  # that a process leaves out before it ends the run; None: any number

    def __post_init__(self) -> None:
        _require(self.batch_size >= 2, "data.batch_size", self.batch_size, "at least 2, for a contrast")
        _require(
            self.micro_batch_size is None or self.micro_batch_size >= 1,
            "data.micro_batch_size",
            self.micro_batch_size,
            "at least 1",
        )
        _require(0 < self.min_crop_share <= 1, "data.min_crop_share", self.min_crop_share, "in (0, 1]")
        _require(
            self.num_decode_threads >= 1, "data.num_decode_threads", self.num_decode_threads, "at least 1"
        )
        _require(self.max_window_pairs >= 1, "data.max_window_pairs", self.max_window_pairs, "at least 1")
        _require(self.cache_gb > 0, "data.cache_gb", self.cache_gb, "above 0")
        positive = self.passes is None or (bool(self.passes) and all(value > 0 for value in self.passes))
        _require(positive, "data.passes", self.passes, "above 0, one for each dataset")
        _require(
            self.max_bad_pictures is None or self.max_bad_pictures >= 0,
            "data.max_bad_pictures",
            self.max_bad_pictures,
            "0 or more",
        )


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay to 0 (CLIP, sec. 2.5 and table 18)."""

    peak_lr: float
    num_warmup_steps: int
    weight_decay: float = 0.2  # on matrices only: gains, biases and logit_scale are excluded
    beta1: float = 0.9
    beta2: float = 0.98
    eps: float = 1e-6
    statistics: Literal["float32", "bfloat16"] = "float32"  # of Adam; bfloat16 is rounded by chance
    text_weights: Literal["float32", "bfloat16"] = "float32"  # matrices of the text tower, as above
    max_logit_scale: float = 100.0  # of exp(logit_scale), clipped after every step

    def __post_init__(self) -> None:
        _require(self.peak_lr > 0, "optim.peak_lr", self.peak_lr, "above 0")
        _require(self.num_warmup_steps >= 0, "optim.num_warmup_steps", self.num_warmup_steps, "0 or more")
        small = self.statistics == "bfloat16" or self.text_weights == "float32"
        _require(small, "optim.statistics", self.statistics, "bfloat16 with text_weights in bfloat16")
        _require(self.max_logit_scale >= 1, "optim.max_logit_scale", self.max_logit_scale, "1 or more")


@dataclass(frozen=True, kw_only=True)
class SpeedConfig:
    """Speed and memory. All but `patch_dropout` compute what they would without, but for rounding."""

    compile: bool = False  # transformer blocks, by torch.compile; where that fails the run goes on without
    # What the backward pass computes again in place of keeping it: nothing, all of a transformer block but
    # its matrix products, or whole blocks.
    recompute: Literal["none", "cheap", "blocks"] = "none"
    patch_dropout: float = 0.0  # share of a picture's patches that a ViT leaves out in training (FLIP: 0.5)

    def __post_init__(self) -> None:
        _require(0 <= self.patch_dropout < 1, "speed.patch_dropout", self.patch_dropout, "in [0, 1)")


@dataclass(frozen=True, kw_only=True)
class EvalsConfig:
    """What a run is evaluated on while it goes on: its weights, and their averages where it keeps them."""

    zero_shot: tuple[str, ...] = ()  # NAME=PLACE of labelled pictures
    datasets: tuple[str, ...] = ()  # NAME=PLACE of the paper's, as `eval zero_shot --dataset NAME` takes them
    retrieval: tuple[str, ...] = ()  # NAME=PLACE of a dataset or of plain tars
    templates: str | None = None  # a name of train/evals/prompts, or a file; None: the dataset's, or "simple"
    every_steps: int | None = (
        None  # None: at the end of every epoch; also before the first step and at the end
    )

    def __post_init__(self) -> None:
        for kind, others in (("zero_shot", self.datasets), ("datasets", ()), ("retrieval", ())):
            entries = getattr(self, kind) + others
            names = [entry.partition("=")[0] for entry in entries]
            whole = all(re.fullmatch(r"[\w.-]+=.+", entry) for entry in entries)
            apart = whole and len(set(names)) == len(names)
            _require(apart, f"evals.{kind}", " ".join(entries), "NAME=PLACE, each name once")
        often = self.every_steps is None or self.every_steps >= 1
        _require(often, "evals.every_steps", self.every_steps, "at least 1")


@dataclass(frozen=True, kw_only=True)
class TokenizerConfig:
    """`dataset`: a byte-level BPE trained on the dataset's own captions. `clip`: CLIP's vocabulary."""

    kind: Literal["dataset", "clip"] = "dataset"
    vocab_size: int = 4096  # an upper bound for `dataset`; `clip` has 49,408
    clip_vocab: Path | None = (
        None  # bpe_simple_vocab_16e6.txt.gz; None takes it from an installed open_clip_torch
    )


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A whole training run but for its dataset and its directory."""

    recipe: str
    model: ModelConfig
    data: DataConfig
    optim: OptimConfig
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    evals: EvalsConfig = field(default_factory=EvalsConfig)
    num_epochs: int = 32
    init: Place | None = None  # weights to start from: a run, a checkpoint file or an exported folder
    seed: int = 0
    loss: Literal["infonce", "siglip"] = (
        "infonce"  # the paper's softmax, or a sigmoid for each (picture, text)
    )
    parallel: Literal["ddp", "fsdp"] = "ddp"  # of several processes: copies of the model, or shards of it
    ema_decay: float | None = None  # of averaged weights, which evaluations then use: 0.9999 for long runs
    ledger: bool = False  # write down which pairs each step has learnt from
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bfloat16 on a GPU that has it
    log_every_steps: int = 10
    wandb_project: str | None = None  # at Weights & Biases, which then gets what TensorBoard does
    checkpoint_every_steps: int = 1000
    checkpoint_every_minutes: float | None = None  # besides, by the clock
    # One file from the first process, or a part from each, which spares a sharded model's gathering; auto:
    # parts where FSDP shards it.
    checkpoint_form: Literal["auto", "whole", "parts"] = "auto"
    num_checkpoints_kept: int = 2
    max_step_minutes: float | None = (
        None  # a step, or an evaluation, that takes longer ends the run with all stacks
    )
    max_loss_rise: float | None = (
        None  # above the median of 100 steps; more counts as a loss that is no number
    )
    max_rollbacks: int = (
        0  # to the last checkpoint, without the batch of such a loss, before the run is ended
    )

    def __post_init__(self) -> None:
        for name in ("checkpoint_every_minutes", "max_step_minutes", "max_loss_rise"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "above 0")
        _require(self.ema_decay is None or 0 < self.ema_decay < 1, "ema_decay", self.ema_decay, "in (0, 1)")
        fits = self.checkpoint_form != "parts" or self.parallel == "fsdp"
        _require(fits, "checkpoint_form", self.checkpoint_form, "parts with --parallel fsdp only")
        _require(self.max_rollbacks >= 0, "max_rollbacks", self.max_rollbacks, "0 or more")
        for name in ("num_epochs", "log_every_steps", "checkpoint_every_steps", "num_checkpoints_kept"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")


def to_json(config: Any) -> Any:
    """Return a config as plain JSON values, nested dataclasses as objects."""
    if is_dataclass(config) and not isinstance(config, type):
        return {part.name: to_json(getattr(config, part.name)) for part in fields(config)}
    return str(config) if hasattr(config, "joinpath") else config  # a Path, or an UPath


def differences(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Return one line per field that differs between two configs in JSON form.

    >>> differences({"optim": {"peak_lr": 1}}, {"optim": {"peak_lr": 2}})
    ['optim.peak_lr: 1, now 2']
    """
    lines: list[str] = []
    for name in sorted(ours.keys() | theirs.keys()):
        old, new = ours.get(name), theirs.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            lines.append(f"{prefix}{name}: {old}, now {new}")
    return lines


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise ValueError(f"{name} is {value}, must be {rule}. Next: pass another --{name.replace('_', '-')}")
