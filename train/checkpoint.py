"""A training run frozen at a step: written whole, read back exactly, tokenizer and config included.

checkpoints/step-00000100.pt    plain tensors, numbers and text: torch.load(weights_only=True) reads it
checkpoints/latest              the name of the newest whole checkpoint
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from manifests.storage import written_whole
from manifests.store import write_bytes

FORMAT = 1


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


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint, num_kept: int) -> Path:
    """Write a checkpoint, point `latest` at it, and remove all but the newest `num_kept`."""
    folder = run_dir / "checkpoints"
    path = folder / f"step-{checkpoint.step:08d}.pt"
    fields = vars(checkpoint) | {"format": FORMAT, "config": json.dumps(checkpoint.config)}
    with written_whole(path) as temporary:
        torch.save(fields, temporary)
    write_bytes(folder / "latest", f"{path.name}\n".encode())
    for old in sorted(folder.glob("step-*.pt"))[:-num_kept]:
        old.unlink()
    return path


def newest_checkpoint(run_dir: Path) -> Path | None:
    """Return where the newest whole checkpoint of a run lies; None if the run has none yet."""
    latest = run_dir / "checkpoints" / "latest"
    return latest.with_name(latest.read_text().strip()) if latest.is_file() else None


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
