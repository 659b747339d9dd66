"""Pairs of tars to another tar, byte for byte: neighbours at once, nothing is decoded.

The tars are those of a dataset: each pair is its picture, text and facts, side by side, in the index's order.
"""

import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from manifests.hashing import HashedFile
from manifests.store import DatasetError

BLOCK = tarfile.BLOCKSIZE
END = b"\0" * (2 * BLOCK)  # two empty blocks end a tar

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Where the pairs of a tar lie in it, headers and padding too."""

    path: Path
    keys: pa.ChunkedArray
    offsets: Rows  # of the pictures' bytes, (number of pairs,)
    starts: Rows
    stops: Rows

    def read(self, tar: IO[bytes], row: int) -> bytes:
        """Return the bytes of a pair of the open tar. Raises DatasetError where another one lies there."""
        start, stop = int(self.starts[row]), int(self.stops[row])
        _check_name(tar, start, self.keys[row].as_py(), self.path)
        tar.seek(start)
        return tar.read(stop - start)


ASK_VERIFY = "the dataset is damaged. Next: python -m manifests verify"


def spans_of(path: Path, index: pa.Table) -> Spans:
    """Return where the pairs of a tar lie, from all rows of its index (columns key and offset)."""
    offsets = index["offset"].to_numpy().astype(np.int64)
    starts = offsets - BLOCK
    with path.open("rb") as tar:
        last = [_end_of_pair(tar, int(starts[-1]))] if len(starts) else []
    stops = np.append(starts[1:], last).astype(np.int64)
    return Spans(path=path, keys=index["key"], offsets=offsets, starts=starts, stops=stops)


def copy_pairs(source: IO[bytes], spans: Spans, rows: Rows, tar: HashedFile) -> Rows:
    """Append pairs of an open tar, in the order of `rows`; return where the picture of each lies then.

    Raises DatasetError where another pair lies there than the index says.
    """
    found = [np.empty(0, np.int64)]
    for run in runs_of(rows):
        first, last = int(run[0]), int(run[-1])
        start, stop = int(spans.starts[first]), int(spans.stops[last])
        _check_name(source, start, spans.keys[first].as_py(), spans.path)
        found.append(spans.offsets[run] + (tar.tell() - start))
        copy_bytes(source, start, stop, tar)
    return np.concatenate(found)


def copy_bytes(source: IO[bytes], start: int, stop: int, to: HashedFile) -> None:
    """Append what lies from `start` to `stop` in another file. Raises DatasetError where that is shorter."""
    source.seek(start)
    if (count := to.copy_from(source, stop - start)) < stop - start:
        raise DatasetError(f"a tar ends at byte {start + count}, its index says {stop}: {ASK_VERIFY}")


def runs_of(rows: Rows) -> list[Rows]:
    """Cut rows where they do not follow each other.

    >>> [run.tolist() for run in runs_of(np.array([2, 3, 7, 1]))]
    [[2, 3], [7], [1]]
    """
    return np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []


def with_facts(data: bytes, change: Callable[[dict[str, Any]], dict[str, Any]]) -> bytes:
    """Return the bytes of a pair (a picture's header first) with other facts in its .json member."""
    members, place = [], 0
    while place < len(data):
        header, size = data[place : place + BLOCK], size_of(data[place : place + BLOCK])
        body = data[place + BLOCK : place + BLOCK + size]
        place += BLOCK + padded(size)
        if header[:100].rstrip(b"\0").endswith(b".json"):
            body = orjson.dumps(change(orjson.loads(body)))
            header = _with_size(header, len(body))
        members.append(header + body + b"\0" * (padded(len(body)) - len(body)))
    return b"".join(members)


def size_of(header: bytes) -> int:
    """Return how many bytes a member has, by its header."""
    return int(header[124:136].rstrip(b"\0 ") or b"0", 8)


def padded(size: int) -> int:
    """Return the room that so many bytes take in a tar."""
    return -(-size // BLOCK) * BLOCK


def _with_size(header: bytes, size: int) -> bytes:
    blank = header[:124] + b"%011o\0" % size + header[136:148] + b" " * 8 + header[156:]
    return blank[:148] + b"%06o\0 " % sum(blank) + blank[156:]


def _end_of_pair(tar: IO[bytes], start: int) -> int:
    """Return where the members of the pair that begins at `start` end, if no other pair follows."""
    while True:
        tar.seek(start)
        header = tar.read(BLOCK)
        if len(header) < BLOCK or not header[0]:
            return start
        start += BLOCK + padded(size_of(header))


def _check_name(source: IO[bytes], start: int, key: str, path: Path) -> None:
    source.seek(start)
    name = source.read(100).rstrip(b"\0").decode(errors="replace")
    if name.partition(".")[0] != key:
        raise DatasetError(f"{path} holds {name!r} at byte {start}, its index says {key}: {ASK_VERIFY}")
