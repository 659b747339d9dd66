"""Copies of files that lie elsewhere, in a folder of this machine that never grows beyond its bound and that
any number of processes share.

NAME.copy   a file, then a CRC-32 for each block of it; NAME is the file's hash in its manifest
NAME.part   one that is being fetched, at its full size; a lock of the kernel tells it from a killed run's
lock        held by who makes room, for as long as that takes

Whole files are checked when they are fetched, and every read checks the blocks that it touches, so that what
is broken is never learnt from. What has not been used for longest is thrown out first.
"""

import fcntl
import hashlib
import os
import time
import zlib
from collections.abc import Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from manifests.schema import FileRecord
from manifests.storage import read_bytes

BLOCK_BYTES = 1 << 14
PIECE_BYTES = 1 << 24  # of one request; a multiple of a block's
_TOUCH_S = 60.0  # between notes that a copy is in use


class WrongContentError(OSError):
    """A file is not what its manifest says."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file elsewhere."""

    path: Path
    record: FileRecord
    is_hashed: bool = True  # whether the record's hash is of the file's bytes, or only a name of it

    @property
    def num_blocks(self) -> int:
        """Return how many blocks it has."""
        return -(-self.record.num_bytes // BLOCK_BYTES)

    @property
    def copy_bytes(self) -> int:
        """Return how large its copy is, check sums and all."""
        return self.record.num_bytes + 4 * self.num_blocks


class CacheFolder:
    """Of at most `max_bytes`. Raises ValueError where nothing can be written to it."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._touched_s: dict[str, float] = {}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with self._locked():
                pass
        except OSError as error:
            raise ValueError(f"data.cache {folder}: {error}. Next: give a folder of this machine") from error

    def read(self, source: Source, start: int, stop: int) -> bytes | None:
        """Return bytes of a file, None where there is no copy. One that is broken is removed."""
        copy, size = self._copy(source), source.record.num_bytes
        first, last = start // BLOCK_BYTES, -(-stop // BLOCK_BYTES)
        try:
            with copy.open("rb", buffering=0) as file:
                begin, end = first * BLOCK_BYTES, min(last * BLOCK_BYTES, size)
                blocks = os.pread(file.fileno(), end - begin, begin)
                sums = os.pread(file.fileno(), 4 * (last - first), size + 4 * first)
        except FileNotFoundError:
            return None
        if len(blocks) != end - begin or _sums(blocks) != sums:
            copy.unlink(missing_ok=True)
            return None
        self._touch(copy)
        return blocks[start - begin : stop - begin]

    def fetch(self, source: Source, keep: Container[str]) -> bool:
        """Copy a file, where there is room without those that `keep` names; return whether that was done now.

        Raises OSError for a disk that is full, WrongContentError, and what the store raises.
        """
        part = self._begin(source, keep)
        if part is None:
            return False
        temporary = Path(part.name)
        try:
            with part:
                _copy_into(part, source)
                temporary.replace(self._copy(source))
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return True

    def _copy(self, source: Source) -> Path:
        return self._folder / f"{source.record.sha256}.copy"

    def _touch(self, copy: Path) -> None:
        now_s = time.monotonic()
        if now_s - self._touched_s.get(copy.name, -_TOUCH_S) >= _TOUCH_S:
            self._touched_s[copy.name] = now_s
            with suppress(FileNotFoundError):
                os.utime(copy)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _begin(self, source: Source, keep: Container[str]) -> IO[bytes] | None:
        """Return the file to fetch into; None where it is there, on its way, or there is no room for it."""
        with self._locked():
            part = self._copy(source).with_suffix(".part")
            fetching = {path: size for path in self._folder.glob("*.part") if (size := _alive_bytes(path))}
            if self._copy(source).exists() or part in fetching:
                return None
            if not self._made_room(source.copy_bytes, sum(fetching.values()), keep):
                return None
            return _begun(part, source.copy_bytes)

    def _made_room(self, num_bytes: int, used: int, keep: Container[str]) -> bool:
        copies = [(path, stat) for path in self._folder.glob("*.copy") if (stat := _stat(path))]
        used += sum(stat.st_size for _, stat in copies)
        idle = sorted(
            (stat.st_mtime_ns, stat.st_size, path) for path, stat in copies if path.stem not in keep
        )
        if used + num_bytes - sum(size for _, size, _ in idle) > self._max_bytes:
            return False
        for _, size, path in idle:
            if used + num_bytes <= self._max_bytes:
                break
            path.unlink(missing_ok=True)
            used -= size
        return True


def _begun(part: Path, num_bytes: int) -> IO[bytes]:
    """Return a new file that counts with its full size from now on."""
    file = part.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    try:
        file.truncate(num_bytes)
    except OSError:
        file.close()
        part.unlink()
        raise
    return file


def _copy_into(part: IO[bytes], source: Source) -> None:
    """Write a file and its check sums, to the disk itself."""
    digest, sums, size = hashlib.sha256(), [], source.record.num_bytes
    for start in range(0, size, PIECE_BYTES):
        stop = min(size, start + PIECE_BYTES)
        piece = read_bytes(source.path, start, stop)
        if len(piece) != stop - start:
            raise WrongContentError(f"{source.path} is shorter than its {size} bytes")
        digest.update(piece)
        sums.append(_sums(piece))
        part.write(piece)
    if source.is_hashed and digest.hexdigest() != source.record.sha256:
        raise WrongContentError(
            f"{source.path} has sha256 {digest.hexdigest()}, its manifest says {source.record.sha256}"
        )
    part.write(b"".join(sums))
    part.flush()
    os.fsync(part.fileno())


def _sums(blocks: bytes) -> bytes:
    view = memoryview(blocks)
    found = [zlib.crc32(view[start : start + BLOCK_BYTES]) for start in range(0, len(view), BLOCK_BYTES)]
    return np.array(found, "<u4").tobytes()


def _alive_bytes(part: Path) -> int:
    """Return the size of what is being fetched; 0 where that is done, or was by a process that was killed,
    whose part is removed."""
    try:
        with part.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0
    part.unlink(missing_ok=True)
    return 0


def _stat(path: Path) -> os.stat_result | None:
    """Return what is known of a copy, None where another process has just found it broken."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None
