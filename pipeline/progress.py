"""Progress that a person sees, also of work in other processes: they count into files, this one adds up.

A tally is a small file of JSON, {counter: number}, written whole; each worker has its own. Counters of a
stage are named as Beam's are: `fetch/in`, `fetch/out`, `fetch/dropped/<reason>`, and so for `image`. Besides:

    fetch/bytes       bytes of what was downloaded
    names/asked       names that were looked up
    names/failed      of those, the ones for which no answer came; "there is no such name" is an answer
    hosts/waiting     a level, not a count: hosts of which no request may start just now
"""

import json
import math
import os
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Generic, TypeVar

from tqdm import tqdm

from manifests.protocols import store_errors
from manifests.storage import entries, is_local, make_folder, read_bytes
from manifests.store import write_bytes

INTERVAL_S = 0.5
# A look into a store is a request, or several, that cost time and money.
INTERVAL_IN_STORES_S = 10.0

Seen = TypeVar("Seen")
# Where nobody watches, a line now and then says more than thousands in a log.
INTERVAL_IN_LOGS_S = 60.0


class Tally:
    """Counts what this process does, and leaves the counts in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.counts = Counter[str]()
        self.levels = dict[str, int]()
        self._path = folder / f"{os.getpid()}-{uuid.uuid4().hex}.count"
        self._interval_s = interval_of(folder)
        self._written_at = 0.0
        self._writing: threading.Thread | None = None
        make_folder(folder)

    def add(self, name: str, number: int = 1) -> None:
        """Count so many more; the file follows soon."""
        self.counts[name] += number
        self._write_now_and_then()

    def set(self, name: str, level: int) -> None:
        """Say how high something stands now."""
        self.levels[name] = level
        self._write_now_and_then()

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written_at < self._interval_s:
            return
        if is_local(self._path):
            self.write()
        elif self._writing is None or not self._writing.is_alive():
            # A store takes its time, which a fetch has not.
            self._written_at = time.monotonic()
            self._writing = threading.Thread(target=self._write, args=(self._told(),), daemon=True)
            self._writing.start()

    def write(self) -> None:
        """Write the file now; a reader never sees a part of it."""
        if self._writing is not None:
            self._writing.join()
        self._write(self._told())
        self._written_at = time.monotonic()

    def _told(self) -> bytes:
        return json.dumps({**self.counts, **self.levels}).encode()

    def _write(self, told: bytes) -> None:
        if is_local(self._path):
            temporary = self._path.with_suffix(".tmp")
            temporary.write_bytes(told)
            temporary.replace(self._path)
            return
        with suppress(*store_errors()):  # nothing depends on what a person sees
            write_bytes(self._path, told)


def interval_of(folder: Path) -> float:
    """Return after how long to look into a folder, or to write there, again."""
    return INTERVAL_S if is_local(folder) else INTERVAL_IN_STORES_S


def counts_in(folder: Path) -> Counter[str]:
    """Return the sums of all tallies in a folder."""
    total = Counter[str]()
    for path in entries(folder, "*.count"):
        total.update(json.loads(read_bytes(path)))
    return total


class Looks(Generic[Seen]):
    """A look into a folder; into one in a store now and then alone, and what was seen is said in between."""

    def __init__(self, look: Callable[[], Seen], folder: Path, first: Seen) -> None:
        self._look, self._interval_s, self._seen = look, interval_of(folder), first
        self._elsewhere, self._looked_at = not is_local(folder), -math.inf

    def __call__(self) -> Seen:
        if self._elsewhere and time.monotonic() - self._looked_at < self._interval_s:
            return self._seen
        with suppress(*store_errors() if self._elsewhere else ()):  # nothing depends on what a person sees
            self._seen = self._look()
        self._looked_at = time.monotonic()
        return self._seen


def num_files(folder: Path) -> Callable[[], int]:
    """Return a counter of the finished tables in a folder."""

    def look() -> int:
        return sum(1 for path in entries(folder, "*.parquet") if not path.name.startswith("."))

    return Looks(look, folder, 0)


@contextmanager
def shown(
    label: str,
    unit: str,
    total: int | None,
    count: Callable[[], int],
    quiet: bool,
    note: Callable[[], str] | None = None,
) -> Iterator[None]:
    """Show a bar with rate and time left while the body runs; `count` says how far it is, `note` what else
    there is to say. Where no terminal is, a line a minute."""
    done = threading.Event()
    interval_s = INTERVAL_S if sys.stderr.isatty() else INTERVAL_IN_LOGS_S
    with tqdm(
        total=total, desc=f"{label:<12}", unit=unit, disable=quiet, delay=1.0, mininterval=interval_s
    ) as bar:

        def follow() -> None:
            while not done.wait(INTERVAL_S):
                if note:
                    bar.set_postfix_str(note(), refresh=False)
                bar.update(count() - bar.n)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        bar.update((total if total is not None else count()) - bar.n)
