"""Progress that a person sees, also of work in other processes: they count into files, this one adds up.

A tally is a small file of JSON, {counter: number}, written whole; each worker has its own. Counters of a
stage are named as Beam's are: `fetch/in`, `fetch/out`, `fetch/dropped/<reason>`, and so for `image`. Besides:

    fetch/bytes       bytes of what was downloaded
    names/asked       names that were looked up
    names/failed      of those, the ones for which no answer came; "there is no such name" is an answer
    hosts/waiting     a level, not a count: hosts of which no request may start just now
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

INTERVAL_S = 0.5
# Where nobody watches, a line now and then says more than thousands in a log.
INTERVAL_IN_LOGS_S = 60.0


class Tally:
    """Counts what this process does, and leaves the counts in a file of its own."""

    def __init__(self, folder: Path) -> None:
        self.counts = Counter[str]()
        self.levels = dict[str, int]()
        self._path = folder / f"{os.getpid()}-{time.time_ns()}.count"
        self._written_at = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, number: int = 1) -> None:
        """Count so many more; the file follows within half a second."""
        self.counts[name] += number
        self._write_now_and_then()

    def set(self, name: str, level: int) -> None:
        """Say how high something stands now."""
        self.levels[name] = level
        self._write_now_and_then()

    def _write_now_and_then(self) -> None:
        if time.monotonic() - self._written_at >= INTERVAL_S:
            self.write()

    def write(self) -> None:
        """Write the file now; a reader never sees a part of it."""
        temporary = self._path.with_suffix(".tmp")
        temporary.write_text(json.dumps({**self.counts, **self.levels}))
        temporary.replace(self._path)
        self._written_at = time.monotonic()


def counts_in(folder: Path) -> Counter[str]:
    """Return the sums of all tallies in a folder."""
    total = Counter[str]()
    for path in folder.glob("*.count"):
        total.update(json.loads(path.read_text()))
    return total


def num_files(folder: Path) -> Callable[[], int]:
    """Return a counter of the finished tables in a folder."""
    return lambda: sum(1 for path in folder.glob("*.parquet") if not path.name.startswith("."))


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
