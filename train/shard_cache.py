"""Shards that lie elsewhere, copied to this machine before they are read (see `cache_folder`).

What is not here yet, or has no room, is read from where it lies, picture by picture; so nothing waits for the
cache, and without it everything is read that way. Shards of the windows that are read now, and of those that
come next, are fetched in that order and not thrown out meanwhile.
"""

import errno
import math
import sys
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock, Thread

from manifests.protocols import first_line, store_errors
from manifests.storage import read_bytes
from train.cache_folder import CacheFolder, Source

NUM_THREADS = 4
PAUSE_S = 600.0  # after a disk was full
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)


class ShardCache:
    """Of one process, in a folder that others may use, too."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = CacheFolder(folder, max_bytes)
        self._lock = Lock()
        self._wanted: dict[int, tuple[Source, ...]] = {}
        self._queue: deque[Source] = deque()
        self._num_threads = 0
        self._num_failed = 0
        self._paused_until_s = 0.0

    def want(self, reader: int, sources: Sequence[Source]) -> None:
        """Fetch what one of several readers reads now and next, in this order, in the background; what it
        wanted before it has read."""
        with self._lock:
            self._wanted[reader] = tuple(sources)
            self._queue = deque(source for wanted in self._wanted.values() for source in wanted)
            while self._num_threads < min(NUM_THREADS, len(self._queue)):
                self._num_threads += 1
                # A daemon, since the run need not wait for what it will not read.
                Thread(target=self._work, name="fetch shards", daemon=True).start()

    def read(self, source: Source, start: int, stop: int) -> bytes | None:
        """Return bytes of a shard, None where it is not here."""
        return self._folder.read(source, start, stop)

    def whole(self, source: Source) -> bytes:
        """Return a small file, from here or, once, from where it lies."""
        num_bytes = source.record.num_bytes
        found = self.read(source, 0, num_bytes)
        if found is None:
            self._fetch(source)
            found = self.read(source, 0, num_bytes)
        return read_bytes(source.path) if found is None else found

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._num_threads -= 1
                    return
                source = self._queue.popleft()
            self._fetch(source)

    def _fetch(self, source: Source) -> None:
        if time.monotonic() < self._paused_until_s:
            return
        try:
            self._folder.fetch(source, _names(self._wanted.copy().values()))
        except store_errors() as error:
            # The pictures are read all the same; should the store be at fault, those reads will say so.
            if getattr(error, "errno", None) in _DISK:
                self._paused_until_s = time.monotonic() + PAUSE_S
            self._tell(error)

    def _tell(self, error: Exception) -> None:
        """Say the first time, the tenth, the hundredth, that a file could not be stored."""
        self._num_failed += 1
        if math.log10(self._num_failed).is_integer():
            print(
                f"data.cache: {self._num_failed} times a file was not stored, now: {first_line(error)}; "
                "it is read from where it lies",
                file=sys.stderr,
                flush=True,
            )


def _names(wanted: Iterable[Sequence[Source]]) -> set[str]:
    return {source.record.sha256 for sources in wanted for source in sources}
