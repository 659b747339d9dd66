"""A training run frozen at a step: written whole, read back exactly, tokenizer and config included.

checkpoints/step-00000100.pt          plain tensors, numbers and text: torch.load(weights_only=True) reads it
checkpoints/step-00000100.pt.sha256   its SHA-256, as `sha256sum -c` reads it; there once the file is whole
checkpoints/latest                    the name of the newest whole checkpoint
"""

import json
import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from manifests.storage import written_whole
from manifests.store import sha256_of_file, write_bytes

FORMAT = 1
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


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint, num_kept: int) -> Path:
    """Write a checkpoint, point `latest` at it, and remove all but the newest `num_kept`."""
    folder = run_dir / "checkpoints"
    path = folder / f"step-{checkpoint.step:08d}.pt"
    fields = vars(checkpoint) | {"format": FORMAT, "config": json.dumps(checkpoint.config)}
    with written_whole(path) as temporary:
        torch.save(fields, temporary)
    write_bytes(_sum_of(path), f"{sha256_of_file(path)}  {path.name}\n".encode())
    write_bytes(folder / "latest", f"{path.name}\n".encode())
    for old in sorted(folder.glob("step-*.pt"))[:-num_kept]:
        _sum_of(old).unlink(missing_ok=True)
        old.unlink()
    return path


class CheckpointWriter:
    """Writes checkpoints in a thread, one after the other; the run waits only for one that is not done when
    the next is due. What goes wrong is raised there, or at the end."""

    def __init__(self, run_dir: Path, num_kept: int) -> None:
        self._run_dir, self._num_kept = run_dir, num_kept
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._last: Future[Path] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint, whose tensors nobody else may change."""
        self.wait()
        self._last = self._thread.submit(save_checkpoint, self._run_dir, checkpoint, self._num_kept)

    def wait(self) -> None:
        """Return when the last one is on disk."""
        if self._last:
            self._last.result()
            self._last = None

    def close(self) -> None:
        """Wait, and take no more."""
        self._thread.shutdown()
        self.wait()


def newest_checkpoint(run_dir: Path) -> Path | None:
    """Return where the newest whole checkpoint of a run lies; None if the run has none yet.

    One whose bytes are not those that were written is told of and passed over for the one before it. Raises
    ValueError where none is undamaged.
    """
    damaged = []
    for path in _newest_first(run_dir):
        if not path.is_file() or not _is_as_written(path):
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
    fields = torch.load(path, map_location="cpu", weights_only=True)
    if fields.pop("format") != FORMAT:
        raise ValueError(f"{path} is of another format than {FORMAT}. Next: use the openwit that wrote it")
    fields["config"] = json.loads(fields["config"])
    return Checkpoint(**fields)


def _newest_first(run_dir: Path) -> Iterator[Path]:
    """Yield the checkpoint that `latest` names, and then those before it."""
    latest = run_dir / "checkpoints" / "latest"
    if latest.is_file():
        name = latest.read_text().strip()
        yield latest.with_name(name)
        others = (path for path in latest.parent.glob("step-*.pt") if path.name < name)
        yield from sorted(others, reverse=True)


def _is_as_written(path: Path) -> bool:
    # Checkpoints of earlier versions have no sum.
    recorded = _sum_of(path).read_text().split()[0] if _sum_of(path).is_file() else None
    return recorded is None or sha256_of_file(path) == recorded


def _sum_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
