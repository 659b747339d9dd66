"""Staged pictures: the tars of units, on this machine's disks or in a store.

A shard takes its pictures from all units alike. From a store they are asked for in the order in which they
lie there, many at once, neighbours in one request, and wait in a file of this machine for their turn.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from manifests.storage import is_local, read_ranges

GATHERED = "gathered"
# A request costs a client as much as some hundred KB that it reads for nothing.
MAX_GAP_BYTES = 128 << 10
MAX_RUN_BYTES = 8 << 20
MAX_BYTES_AT_ONCE = 64 << 20

Row = dict[str, Any]


@dataclass
class Run:
    """Pictures that lie near each other in one tar."""

    unit: str
    start: int
    stop: int
    rows: list[int] = field(default_factory=list)

    def takes(self, unit: str, start: int, stop: int) -> bool:
        """Return whether a picture behind is to be read with these."""
        near = unit == self.unit and start - self.stop <= MAX_GAP_BYTES
        return near and stop - self.start <= MAX_RUN_BYTES


@contextmanager
def staged_here(rows: pa.Table, staged: Path) -> Iterator[tuple[pa.Table, Path]]:
    """Give rows, and a folder of this machine in which their pictures lie where `unit` and `offset` say."""
    if is_local(staged):
        yield rows, staged
        return
    with tempfile.TemporaryDirectory(prefix="openwit-") as name:
        with (Path(name) / f"{GATHERED}.tar").open("wb") as file:
            offsets = gather(rows, staged, file)
        for column, values in (("unit", pa.repeat(GATHERED, len(rows))), ("offset", pa.array(offsets))):
            place = rows.schema.get_field_index(column)
            rows = rows.set_column(place, rows.schema.field(place), values)
        yield rows, Path(name)


def gather(rows: pa.Table, staged: Path, to: IO[bytes]) -> np.ndarray:
    """Append the pictures of rows to a file; return int64 (N,): where each lies there."""
    starts, sizes = (rows[name].to_numpy().astype(np.int64) for name in ("offset", "num_bytes"))
    units = rows["unit"].to_pylist()
    places = np.zeros(len(rows), dtype=np.int64)
    for runs in _at_once(runs_of(units, starts.tolist(), sizes.tolist())):
        found = read_ranges([(staged / f"{run.unit}.tar", run.start, run.stop) for run in runs])
        for run, data in zip(runs, found, strict=True):
            if len(data) != run.stop - run.start:
                raise OSError(f"{run.unit}.tar ends before its byte {run.stop}")
            for row in run.rows:
                start = int(starts[row]) - run.start
                places[row] = to.tell()
                to.write(memoryview(data)[start : start + int(sizes[row])])
    return places


def runs_of(units: Sequence[str], starts: Sequence[int], sizes: Sequence[int]) -> Iterator[Run]:
    """Yield what to read of each tar, neighbours together.

    >>> [(run.unit, run.start, run.stop, run.rows) for run in runs_of("bab", [0, 9, 5], [3, 1, 4])]
    [('a', 9, 10, [1]), ('b', 0, 9, [0, 2])]
    """
    order = sorted(range(len(units)), key=lambda row: (units[row], starts[row]))
    run = None
    for row in order:
        start, stop = starts[row], starts[row] + sizes[row]
        if run is None or not run.takes(units[row], start, stop):
            if run is not None:
                yield run
            run = Run(units[row], start, stop)
        run.stop = max(run.stop, stop)
        run.rows.append(row)
    if run is not None:
        yield run


def _at_once(runs: Iterator[Run]) -> Iterator[list[Run]]:
    """Yield runs in lists of some MAX_BYTES_AT_ONCE."""
    read = 0

    def number(run: Run) -> int:
        nonlocal read
        read += run.stop - run.start
        return read // MAX_BYTES_AT_ONCE

    for _, several in groupby(runs, key=number):
        yield list(several)


def read_staged(row: Row, tar: IO[bytes]) -> bytes:
    """Return the staged picture of a row."""
    tar.seek(row["offset"])
    return tar.read(row["num_bytes"])
