"""A file that knows its size and SHA-256 when it is written: nothing is read again to hash it."""

import hashlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from manifests.schema import FileRecord
from manifests.storage import written_whole
from manifests.store import write_parquet

# Files are written and hashed in blocks of this size from buffers that are used again: smaller writes, and
# memory that the system must clear first, cost three times as much as the copying itself.
BLOCK_BYTES = 1 << 20
NUM_BLOCKS = 8  # on a busy machine one thread is often ahead of the other


class HashedFile:
    """Takes bytes in order; whole blocks of them are written on one other thread and hashed on a second.

    Both let go of the interpreter's lock, so that they take no time where a core is free.
    """

    def __init__(self, file: IO[bytes], writing: ThreadPoolExecutor, hashing: ThreadPoolExecutor) -> None:
        """The two have one worker each, so that blocks stay in order."""
        self._file, self._writing, self._hashing = file, writing, hashing
        self._digest = hashlib.sha256()
        self._block = memoryview(bytearray(BLOCK_BYTES))
        self._filled = self._num_before = 0
        self._waiting: deque[tuple[memoryview, Future[int], Future[None]]] = (
            deque()
        )  # blocks that are being put

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes."""
        end = self._filled + len(data)
        if end <= BLOCK_BYTES:
            self._block[self._filled : end] = data
            self._filled = end
            return
        room = BLOCK_BYTES - self._filled
        self._block[self._filled :] = data[:room]
        self._filled = BLOCK_BYTES
        self.flush()
        for start in range(room, len(data), BLOCK_BYTES):
            self.write(data[start : start + BLOCK_BYTES])

    def reserve(self, num_bytes: int) -> memoryview | None:
        """Return room for the next bytes, all of which the caller fills in; None where the block has too
        little: then they are to be written."""
        end = self._filled + num_bytes
        if end > BLOCK_BYTES:
            return None
        room = self._block[self._filled : end]
        self._filled = end
        return room

    def copy_from(self, file: IO[bytes], num_bytes: int) -> int:
        """Append so many bytes of a file, read straight into a block; return how many there were."""
        left = num_bytes
        while left:
            if self._filled == BLOCK_BYTES:
                self.flush()
            count = file.readinto(self._block[self._filled : self._filled + left])  # type: ignore[attr-defined]
            if not count:
                break
            self._filled += count
            left -= count
        return num_bytes - left

    def tell(self) -> int:
        """Return how many bytes there are, which is where the next will lie."""
        return self._num_before + self._filled

    def flush(self) -> None:
        """Hand what there is on to be written and hashed. Raises OSError where that has failed before."""
        data = self._block[: self._filled]
        written, hashed = (
            self._writing.submit(self._file.write, data),
            self._hashing.submit(self._digest.update, data),
        )
        self._waiting.append((self._block, written, hashed))
        self._num_before, self._filled = self._num_before + self._filled, 0
        if len(self._waiting) < NUM_BLOCKS:
            self._block = memoryview(bytearray(BLOCK_BYTES))
        else:
            self._block = self._done()

    def _done(self) -> memoryview:
        block, written, hashed = self._waiting.popleft()
        written.result()
        hashed.result()
        return block

    def finish(self) -> None:
        """Write all that there is."""
        self.flush()
        while self._waiting:
            self._done()

    def record(self, path: str) -> FileRecord:
        """Return the record of the file when it is written; `path` is the one that it has in its dataset."""
        assert not self._filled and not self._waiting, path
        return FileRecord(path=path, num_bytes=self._num_before, sha256=self._digest.hexdigest())


@contextmanager
def written_hashed(path: Path) -> Iterator[HashedFile]:
    """Give a file to append to; when the block has ended it is at `path`, whole, and has a record."""
    with (
        written_whole(path) as temporary,
        temporary.open("wb") as file,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="write") as writing,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as hashing,
    ):
        hashed = HashedFile(file, writing, hashing)
        yield hashed
        hashed.finish()


def write_table_hashed(root: Path, path: str, table: pa.Table) -> FileRecord:
    """Write a parquet file of the dataset at `root` (`store.write_table`); return its record."""
    sink = pa.BufferOutputStream()
    write_parquet(table, sink)
    with written_hashed(root / path) as file:
        file.write(sink.getvalue().to_pybytes())
    return file.record(path)
