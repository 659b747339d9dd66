"""What an evaluation passes over: pictures in a fixed order, of datasets of ours, of folders, or labelled."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from manifests.storage import read_ranges
from manifests.store import MANIFEST_NAME, Dataset
from train.evals.identity import identity_of_files
from train.evals.labelled import PICTURE_SUFFIXES
from train.plain_tars import open_pairs

_NUM_AT_ONCE = 64  # read in one request where they lie elsewhere


class Pictures(Protocol):
    """Pictures that features can be computed of, and kept."""

    def __iter__(self) -> Iterator[tuple[str, bytes, int | None]]:
        """Yield each picture's key, its encoded bytes and its label, in the same order every time."""

    def identity(self) -> str:
        """Return a text that changes whenever a picture, a label or the order does; cheap to make."""


@dataclass(frozen=True)
class PairPictures:
    """The pictures of a dataset of ours, or of indexed tars, without labels. Keys are those of its pairs."""

    dataset: Dataset
    share: float = 1.0  # of them, chosen by a hash of their keys: the same ones each time

    def __iter__(self) -> Iterator[tuple[str, bytes, int | None]]:
        for shard in self.dataset.manifest.shards:
            rows = self.dataset.read_index(shard, ["key", "offset", "num_bytes"]).to_pylist()
            rows = [row for row in rows if _place_of(row["key"]) < self.share]
            tar = self.dataset.tar_path(shard)
            for start in range(0, len(rows), _NUM_AT_ONCE):
                some = rows[start : start + _NUM_AT_ONCE]
                places = [(tar, row["offset"], row["offset"] + row["num_bytes"]) for row in some]
                for row, data in zip(some, read_ranges(places), strict=True):
                    yield row["key"], data, None

    def identity(self) -> str:
        some = "" if self.share == 1 else f", {self.share} of them by hash"
        return f"pairs {self.dataset.manifest.content_hash}{some}"


def _place_of(key: str) -> float:
    """Return a number in [0, 1) that a key always has."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest()) / 2**64


@dataclass(frozen=True)
class FolderPictures:
    """The pictures in a folder and in those below it, without labels. Keys are their paths in it."""

    root: Path

    def __iter__(self) -> Iterator[tuple[str, bytes, int | None]]:
        for path in self._paths():
            yield path.relative_to(self.root).as_posix(), path.read_bytes(), None

    def identity(self) -> str:
        return f"folder {identity_of_files(self.root, self._paths())}"

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.root.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)


def open_pictures(root: Path) -> Pictures:
    """Return the pictures at a place, without labels: of a dataset of ours, of tars or of a folder."""
    if (root / MANIFEST_NAME).exists() or any(root.glob("*.tar")):
        return PairPictures(open_pairs(root))
    return FolderPictures(root)
