"""A training run frozen at a step, tokenizer and config included, read back exactly. `checkpoint_writer`
writes them, in one of two forms that all readers take alike:

checkpoints/step-00000100.pt          plain tensors, numbers and text: torch.load(weights_only=True) reads it
checkpoints/step-00000100.pt.sha256   its SHA-256, as `sha256sum -c` reads it; there once the file is whole
checkpoints/step-00000100.parts/      the same in files such as 00000-of-00002.pt, one of each process, and
                                      SHA256SUMS of them, which is there once all of them are whole
checkpoints/latest                    the name of the newest whole checkpoint
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from manifests.store import sha256_of_file
from train.parts import joined

FORMAT = 1
PARTS, SUMS = ".parts", "SHA256SUMS"
Weights = Literal["averaged", "model"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a run is after `step` steps."""

    step: int
    config: dict[str, Any]  # run/config.json
    tokenizer_kind: str
    tokenizer_state: str
    model: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    rng_state: torch.Tensor
    ema: dict[str, torch.Tensor] = field(default_factory=dict)  # averaged weights, where the run keeps them

    def weights(self, kind: Weights | None = None) -> dict[str, torch.Tensor]:
        """Return the weights of `Clip` to evaluate or to hand on, in float32: the averaged ones where the run
        keeps them, unless `kind` says which. Raises ValueError for averaged ones that it does not keep.
        """
        if kind == "averaged" and not self.ema:
            raise ValueError(
                "the run keeps no averaged weights. Next: --weights model, or train with --ema-decay"
            )
        weights = self.model if kind == "model" else self.model | self.ema
        # The sigmoid loss has a bias besides, which no feature depends on.
        return {
            name: value.float() if value.is_floating_point() else value  # counts stay counts
            for name, value in weights.items()
            if name != "logit_bias"
        }


def newest_checkpoint(run_dir: Path) -> Path | None:
    """Return where the newest whole checkpoint of a run lies; None if the run has none yet.

    One whose bytes are not those that were written is told of and passed over for the one before it. Raises
    ValueError where none is undamaged.
    """
    damaged = []
    for path in _newest_first(run_dir):
        if not _is_as_written(path):
            damaged.append(path)
            _log.warning("%s is damaged or gone: going back to the checkpoint before it", path)
            continue
        return path
    if damaged:
        raise ValueError(
            f"{run_dir} has no undamaged checkpoint: {', '.join(path.name for path in damaged)}. "
            "Next: restore one of them from a copy, or pass another --run"
        )
    return None


def load_checkpoint(run_dir: Path) -> Checkpoint | None:
    """Return the newest whole checkpoint of a run, on the CPU; None if the run has none yet.

    Raises ValueError for a format that this code does not know.
    """
    path = newest_checkpoint(run_dir)
    if path is None:
        return None
    return read_checkpoint(path)


def read_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint in either form, whole and on the CPU. Raises ValueError for an unknown format."""
    names = [name for name, _ in _sums_of(path)] if path.suffix == PARTS else [""]
    first, *others = (_read(path / name) for name in names)
    for name in ("model", "optimizer", "ema"):
        first[name] = joined([part.pop(name) for part in (first, *others)])
    return Checkpoint(**first)


def sha256_of_checkpoint(path: Path) -> str:
    """Return what tells a checkpoint from all others: the hash of its file, or of the hashes of its parts."""
    return sha256_of_file(path / SUMS if path.suffix == PARTS else path)


def is_whole(path: Path) -> bool:
    """Return whether all of a checkpoint was written: a file is renamed when it is, parts get their sums."""
    return (path / SUMS).is_file() if path.suffix == PARTS else path.is_file()


def sum_of(path: Path) -> Path:
    """Return where the SHA-256 of a whole file lies."""
    return path.with_name(f"{path.name}.sha256")


def checkpoints_of(folder: Path) -> list[Path]:
    """Return the checkpoints of both forms in a folder, oldest first, those that were cut short included."""
    return sorted(path for path in folder.glob("step-*") if path.suffix in (".pt", PARTS))


def _read(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        fields: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    if fields.pop("format") != FORMAT:
        raise ValueError(f"{path} is of another format than {FORMAT}. Next: use the openwit that wrote it")
    fields["config"] = json.loads(fields["config"])
    fields.setdefault("ema", {})
    return fields


def _newest_first(run_dir: Path) -> Iterator[Path]:
    """Yield the checkpoint that `latest` names, and then those before it."""
    latest = run_dir / "checkpoints" / "latest"
    if latest.is_file():
        name = latest.read_text().strip()
        yield latest.with_name(name)
        yield from (
            path for path in reversed(checkpoints_of(latest.parent)) if path.name < name and is_whole(path)
        )


def _is_as_written(path: Path) -> bool:
    if not is_whole(path):
        return False
    if path.suffix == PARTS:
        return all(
            (path / name).is_file() and sha256_of_file(path / name) == recorded
            for name, recorded in _sums_of(path)
        )
    # Checkpoints of earlier versions have no sum.
    return not sum_of(path).is_file() or sha256_of_file(path) == sum_of(path).read_text().split()[0]


def _sums_of(path: Path) -> list[tuple[str, str]]:
    """Return the names of the parts in the order of ranks, each with its SHA-256."""
    lines = (path / SUMS).read_text(encoding="utf-8").splitlines()
    return sorted((name, recorded) for recorded, _, name in (line.partition("  ") for line in lines))
