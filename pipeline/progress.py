"""Progress that a person sees, also of work in other processes: they count into files, this one adds up."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

INTERVAL_S = 0.5


class Tally:
    """Counts what this process has done into a file of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / f"{os.getpid()}.count"
        self._count = 0
        self._written_at = 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, number: int) -> None:
        """Count so many more; the file follows within half a second."""
        self._count += number
        if time.monotonic() - self._written_at >= INTERVAL_S:
            self._path.write_text(str(self._count))
            self._written_at = time.monotonic()


def total_of(folder: Path) -> int:
    """Return the sum of all tallies in a folder."""
    counts = (path.read_text() for path in folder.glob("*.count"))
    return sum(int(count) for count in counts if count)


def num_files(folder: Path) -> Callable[[], int]:
    """Return a counter of the finished tables in a folder."""
    return lambda: sum(1 for path in folder.glob("*.parquet") if not path.name.startswith("."))


@contextmanager
def shown(label: str, unit: str, total: int | None, count: Callable[[], int], quiet: bool) -> Iterator[None]:
    """Show a bar with rate and time left while the body runs; `count` says how far it is."""
    done = threading.Event()
    with tqdm(
        total=total, desc=f"{label:<12}", unit=unit, disable=quiet, delay=1.0, mininterval=INTERVAL_S
    ) as bar:

        def follow() -> None:
            while not done.wait(INTERVAL_S):
                bar.update(count() - bar.n)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
        bar.update((total if total is not None else count()) - bar.n)
