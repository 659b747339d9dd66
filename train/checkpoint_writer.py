"""Checkpoints on their way to disk, beside the training: whole from the first process, or a part from each.

Whatever happens, `latest` names a checkpoint of which all is there.
"""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from manifests.storage import remove_folder, written_whole
from manifests.store import sha256_of_file, write_bytes
from train.checkpoint import FORMAT, PARTS, SUMS, Checkpoint, checkpoints_of, is_whole, sum_of
from train.distributed import Group, is_first, num_processes, rank


class CheckpointWriter:
    """Writes checkpoints in a thread, one after the other; the run waits only for one that is not done when
    the next is due. What goes wrong is raised there, or at the end.

    With `in_parts` every process has one, makes it when all others do, and writes its part of each
    checkpoint; else only the first process writes.
    """

    def __init__(self, run_dir: Path, num_kept: int, in_parts: bool = False) -> None:
        self._folder, self._num_kept = run_dir / "checkpoints", num_kept
        # Threads of several processes speak to each other while their trainings do: not on the same line.
        self._group = Group() if in_parts else None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._last: Future[Path] | None = None

    def write(self, checkpoint: Checkpoint) -> None:
        """Begin to write a checkpoint, or this process's part of it, whose tensors nobody else may change."""
        self.wait()
        if self._group:
            self._last = self._thread.submit(
                _save_part, self._folder, checkpoint, self._num_kept, self._group
            )
        else:
            self._last = self._thread.submit(_save_whole, self._folder, checkpoint, self._num_kept)

    def wait(self) -> None:
        """Return when the last one is on disk. Raises OSError where it could not be written."""
        if self._last:
            last, self._last = self._last, None
            last.result()

    def close(self) -> None:
        """Wait, and take no more."""
        self._thread.shutdown()
        self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def save_checkpoint(run_dir: Path, checkpoint: Checkpoint, num_kept: int) -> Path:
    """Write a whole checkpoint, point `latest` at it, and remove all but the newest `num_kept`."""
    return _save_whole(run_dir / "checkpoints", checkpoint, num_kept)


def _save_whole(folder: Path, checkpoint: Checkpoint, num_kept: int) -> Path:
    path = folder / f"step-{checkpoint.step:08d}.pt"
    write_bytes(sum_of(path), f"{_write(path, checkpoint)}  {path.name}\n".encode())
    _publish(path, num_kept)
    return path


def _save_part(folder: Path, checkpoint: Checkpoint, num_kept: int, group: Group) -> Path:
    path = folder / f"step-{checkpoint.step:08d}{PARTS}"
    name = f"{rank():05d}-of-{num_processes():05d}.pt"
    written, failed = "", None
    try:
        written = f"{_write(path / name, checkpoint)}  {name}\n"
    except OSError as error:
        failed = error  # told to the others, who would wait
    lines = group.gather(written)
    if failed:
        raise failed
    if not all(lines):
        raise OSError(f"{path}: process {lines.index('')} could not write its part")
    if is_first():
        write_bytes(path / SUMS, "".join(lines).encode())
        _publish(path, num_kept)
    return path


def _write(path: Path, checkpoint: Checkpoint) -> str:
    """Write a file of tensors and return its SHA-256."""
    fields = vars(checkpoint) | {"format": FORMAT, "config": json.dumps(checkpoint.config)}
    with written_whole(path) as temporary:
        torch.save(fields, temporary)
    return sha256_of_file(path)


def _publish(path: Path, num_kept: int) -> None:
    """Point `latest` at a checkpoint; of those up to it keep the newest `num_kept` that are whole."""
    write_bytes(path.with_name("latest"), f"{path.name}\n".encode())
    known = [old for old in checkpoints_of(path.parent) if old <= path]
    kept = [old for old in known if is_whole(old)][-num_kept:]
    for old in known:
        if old not in kept:
            _remove(old)


def _remove(path: Path) -> None:
    if path.suffix == PARTS:
        (path / SUMS).unlink(missing_ok=True)  # first, so that what is left is not taken for whole
        remove_folder(path)
    else:
        sum_of(path).unlink(missing_ok=True)
        path.unlink()
