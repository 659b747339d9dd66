"""A part of an index: the pictures of a shard, of some files or of a video, with their features.

parts/000012/features.npy   float16 (N, embed_dim), of unit length
             rows.jsonl     a line for each: where the picture lies and what is known of it
             ends.npy       int64 (N,): where each line ends
             unsafe.npy     bool (N,)
             frames.bin     of a video: its frames as JPEG, one after the other
             part.json      what it was made of; written last: present means whole

Features have float16: cosines differ by 1e-4 from float32's, and a million of 512 take 1 GB instead of two.
A picture's id is its part's number and its row: 20 bits are enough, since shards have 100,000 rows at most.
"""

import io
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from manifests.storage import read_bytes, remove_folder
from manifests.store import write_bytes

ROW_BITS = 20
MAX_NAMED = 20

Row = dict[str, Any]
Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a part was made of. Another part is never made of the same."""

    place: str  # a dataset, or a folder
    name: str  # of the shard, of the video, or of the first of the files
    identity: str  # by which it is known whether that has changed
    num_rows: int
    num_bad: int  # pictures that could not be read
    bad: tuple[str, ...]  # some of them, with the reason


@dataclass(frozen=True, kw_only=True)
class Part:
    """A whole part on disk."""

    folder: Path
    made: Made

    @property
    def number(self) -> int:
        """Its name: a number that no other part has or had."""
        return int(self.folder.name)

    @property
    def features(self) -> NDArray[np.float16]:
        """(N, embed_dim) of unit length, mapped from the disk: what is not looked at takes no memory."""
        return self._mapped("features")

    @property
    def unsafe(self) -> NDArray[np.bool_]:
        """(N,): the rows that are hidden unless somebody asks for them."""
        return self._mapped("unsafe")

    @property
    def ids(self) -> NDArray[np.int64]:
        """(N,): the ids of its pictures."""
        return (self.number << ROW_BITS) + np.arange(self.made.num_rows)

    def row(self, number: int) -> Row:
        """Return what is known of a picture, read from its place in the file."""
        ends = self._mapped("ends")
        start = int(ends[number - 1]) if number else 0
        found: Row = json.loads(read_bytes(self.folder / "rows.jsonl", start, int(ends[number])))
        return found

    def rows(self) -> list[Row]:
        """Return all of them."""
        return [json.loads(line) for line in (self.folder / "rows.jsonl").read_bytes().splitlines()]

    def _mapped(self, name: str) -> NDArray[Any]:
        # Nothing can be mapped of no rows.
        mode: Literal["r"] | None = "r" if self.made.num_rows else None
        found: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode=mode)
        return found


@dataclass(frozen=True)
class Parts:
    """All parts of an index."""

    all: tuple[Part, ...]

    @cached_property
    def num_rows(self) -> int:
        """How many pictures there are."""
        return sum(part.made.num_rows for part in self.all)

    @cached_property
    def by_number(self) -> dict[int, Part]:
        """The parts by their numbers."""
        return {part.number: part for part in self.all}

    @cached_property
    def unsafe_ids(self) -> NDArray[np.int64]:
        """Ids of the pictures that are hidden unless somebody asks for them."""
        found = [part.ids[part.unsafe] for part in self.all if part.unsafe.any()]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def part_of(self, id_: int) -> tuple[Part, int] | None:
        """Return the part and the row of a picture, None where no picture has this id."""
        part, row = self.by_number.get(id_ >> ROW_BITS), id_ & ((1 << ROW_BITS) - 1)
        return (part, row) if part is not None and row < part.made.num_rows else None


def sampled(parts: Parts, num: int) -> Floats:
    """Return features (about `num`, embed_dim) evenly from all parts, fewer where there are fewer."""
    step = max(1, parts.num_rows // num)
    return np.concatenate([np.asarray(part.features[::step], np.float32) for part in parts.all])


def write_part(
    folder: Path, made: Made, features: NDArray[Any], rows: Sequence[Row], frames: bytes = b""
) -> Part:
    """Write a part, whole or not at all, and return it."""
    assert len(features) == len(rows) == made.num_rows < 1 << ROW_BITS, (len(features), len(rows), made)
    lines = [json.dumps(row).encode() + b"\n" for row in rows]
    write_bytes(folder / "rows.jsonl", b"".join(lines))
    write_bytes(folder / "frames.bin", frames)
    arrays: dict[str, NDArray[Any]] = {
        "features": np.asarray(features, np.float16),
        "ends": np.cumsum([len(line) for line in lines], dtype=np.int64),
        "unsafe": np.array([row["unsafe"] for row in rows], np.bool_),
    }
    for name, array in arrays.items():
        buffer = io.BytesIO()
        np.save(buffer, array, allow_pickle=False)
        write_bytes(folder / f"{name}.npy", buffer.getvalue())
    write_bytes(folder / "part.json", json.dumps(asdict(made)).encode())
    return Part(folder=folder, made=made)


def whole_parts(index: Path) -> list[Part]:
    """Return the parts of an index that are whole, in the order of their numbers; what else is in its folder
    of parts is removed."""
    found = []
    for folder in sorted((index / "parts").glob("*")):
        if not (folder / "part.json").is_file():
            remove_folder(folder)  # a process was killed while it wrote
            continue
        found.append(whole_part(index, int(folder.name)))
    return found


def whole_part(index: Path, number: int) -> Part:
    """Return a part by its number. Raises ValueError where it is gone."""
    folder = index / "parts" / f"{number:06}"
    if not (folder / "part.json").is_file():
        raise ValueError(f"{folder} is gone. Next: run the index command again")
    fields = json.loads((folder / "part.json").read_bytes())
    return Part(folder=folder, made=Made(**fields | {"bad": tuple(fields["bad"])}))


def shown(id_: int) -> str:
    """Return an id as people and addresses have it.

    >>> shown((12 << 20) + 7)
    '12-7'
    """
    return f"{id_ >> ROW_BITS}-{id_ & ((1 << ROW_BITS) - 1)}"


def id_of(text: str) -> int | None:
    """Return the id that `shown` shows, None for any other text.

    >>> id_of("12-7") == (12 << 20) + 7, id_of("../etc/passwd"), id_of("1-9999999")
    (True, None, None)
    """
    found = re.fullmatch(r"([0-9]{1,9})-([0-9]{1,7})", text)
    if found is None or int(found[2]) >> ROW_BITS:
        return None
    return (int(found[1]) << ROW_BITS) + int(found[2])
