"""What an index is made of: shards of datasets, plain tars, folders of pictures and videos, cut into units;
of each a part is made, and made anew only when the unit has changed.
"""

import hashlib
import json
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from manifests.schema import Shard
from manifests.storage import is_local, read_ranges
from manifests.store import MANIFEST_NAME, Dataset
from train.plain_tars import open_pairs
from train.search.parts import Row
from train.search.unsafe import is_unsafe
from train.search.video import Frame, frames_of

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ogv", ".mpg", ".mpeg")
FILES_PER_PART = 1_000
MAX_CAPTION = 2_000  # characters of a text beside a file
_BATCH = 256
_COLUMNS = (
    *("key", "offset", "num_bytes", "caption", "url", "page_url", "source", "licence", "author"),
    *("width", "height", "num_duplicates", "extra_captions"),
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture to be indexed: its bytes, and the row that says where they are."""

    data: bytes
    row: Row
    frame: bytes = b""  # of a video's: the JPEG to show


class Unit(Protocol):
    """What one part is made of."""

    @property
    def place(self) -> str:
        """The dataset or the folder."""

    @property
    def name(self) -> str:
        """Of the shard, of the video or of the first of its files."""

    @property
    def identity(self) -> str:
        """What changes when anything of it changes."""

    def pictures(self) -> Iterator[Picture]:
        """Yield its pictures in order. Raises OSError where its file cannot be read."""


def units_of(place: Path, every_s: float) -> list[Unit]:
    """Return the units of a dataset, a folder of tars, or a folder of pictures and videos.

    Raises ValueError where there is nothing of these.
    """
    if (place / MANIFEST_NAME).exists() or not is_local(place) or any(place.glob("*.tar")):
        dataset = open_pairs(place)
        return [ShardUnit(dataset=dataset, shard=shard) for shard in dataset.manifest.shards]
    if not place.is_dir():
        raise ValueError(
            f"--data {place} is no folder. Next: give a dataset, a folder of tars or of pictures"
        )
    found = list(_folder_units(place, every_s))
    if not found:
        known = " ".join((*PICTURES, *VIDEOS))
        raise ValueError(f"--data {place} holds no file that can be indexed. Known: {known}")
    return found


@dataclass(frozen=True, kw_only=True)
class ShardUnit:
    """A shard, of a dataset of ours or a plain tar."""

    dataset: Dataset
    shard: Shard

    @property
    def place(self) -> str:
        return _absolute(self.dataset.root)

    @property
    def name(self) -> str:
        return self.shard.tar.path

    @property
    def identity(self) -> str:
        # The index changes without the tar when a score is added.
        return f"{self.shard.tar.sha256} {self.shard.index.sha256}"

    def pictures(self) -> Iterator[Picture]:
        """Yield the shard's pictures in the order of its tar."""
        table = self.dataset.read_index(self.shard)
        tar = self.dataset.tar_path(self.shard)
        told = _records(tar) if "url" not in table.column_names else {}
        for start in range(0, len(table), _BATCH):
            rows = table.slice(start, _BATCH).to_pylist(maps_as_pydicts="lossy")
            places = [(tar, row["offset"], row["offset"] + row["num_bytes"]) for row in rows]
            for number, (row, data) in enumerate(zip(rows, read_ranges(places), strict=True), start):
                facts = told.get(row["key"], {}) | row
                known = {name: facts.get(name) for name in _COLUMNS}
                yield Picture(
                    data=data, row=known | {"file": self.name, "number": number, "unsafe": is_unsafe(facts)}
                )


@dataclass(frozen=True, kw_only=True)
class FilesUnit:
    """Some pictures of one folder."""

    root: Path
    files: tuple[Path, ...]

    @property
    def place(self) -> str:
        return _absolute(self.root)

    @property
    def name(self) -> str:
        return self.files[0].relative_to(self.root).as_posix()

    @property
    def identity(self) -> str:
        listing = "\n".join(f"{path.relative_to(self.root).as_posix()} {stamp(path)}" for path in self.files)
        return hashlib.sha256(listing.encode("utf-8", "surrogatepass")).hexdigest()

    def pictures(self) -> Iterator[Picture]:
        """Yield the pictures in the order of their names."""
        for path in self.files:
            yield Picture(data=_bytes_of(path), row=_file_row(self.root, path, _caption(path)))


@dataclass(frozen=True, kw_only=True)
class VideoUnit:
    """A video, as a picture of every so many seconds of it."""

    root: Path
    path: Path
    every_s: float

    @property
    def place(self) -> str:
        return _absolute(self.root)

    @property
    def name(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @property
    def identity(self) -> str:
        return f"{stamp(self.path)} every {self.every_s} s"

    def pictures(self) -> Iterator[Picture]:
        """Yield the frames in the order of time."""
        row, offset = _file_row(self.root, self.path, _caption(self.path)), 0
        for frame in frames_of(self.path, self.every_s):
            yield Picture(data=frame.pixels, frame=frame.jpeg, row=row | _of_frame(row, frame, offset))
            offset += len(frame.jpeg)


def stamp(path: Path) -> str:
    """Return what changes when a file is written anew."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _folder_units(root: Path, every_s: float) -> Iterator[Unit]:
    """Yield the units of a folder and those below it; links are not followed, hidden files not looked at."""
    for folder, folders, names in os.walk(root):  # on this machine: `units_of` has looked
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        files = [path for path in paths if path.is_file() and not path.is_symlink()]
        chosen = [path for path in files if path.suffix.lower() in PICTURES]
        for start in range(0, len(chosen), FILES_PER_PART):
            yield FilesUnit(root=root, files=tuple(chosen[start : start + FILES_PER_PART]))
        for path in files:
            if path.suffix.lower() in VIDEOS:
                yield VideoUnit(root=root, path=path, every_s=every_s)


def _bytes_of(path: Path) -> bytes:
    """Return a file's bytes; none of one that may not be read, which is then named with those that hold no
    picture."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _file_row(root: Path, path: Path, caption: str) -> Row:
    name = path.relative_to(root).as_posix()
    known: Row = dict.fromkeys(_COLUMNS) | {"key": name, "caption": caption, "source": "folder"}
    return known | {"file": name, "unsafe": False}


def _of_frame(row: Row, frame: Frame, offset: int) -> Row:
    return {
        "key": f"{row['key']}#t={frame.time_s:.3f}",
        "time_s": frame.time_s,
        "offset": offset,
        "num_bytes": len(frame.jpeg),
        "width": frame.width,
        "height": frame.height,
    }


def _caption(path: Path) -> str:
    """Return the text beside a file, or its name as words."""
    beside = path.with_suffix(".txt")
    if beside.is_file() and not beside.is_symlink():
        with beside.open(encoding="utf-8", errors="replace") as file:
            if text := file.read(MAX_CAPTION).strip():
                return text
    return path.stem.replace("_", " ").replace("-", " ")


def _records(tar: Path) -> dict[str, dict[str, Any]]:
    """Return what the .json members of a plain tar say, by key, as img2dataset writes it."""
    found = {}
    with tar.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as members:
        for member in members:
            if not (member.isfile() and member.name.endswith(".json")):
                continue
            content = members.extractfile(member)
            assert content is not None, member.name
            try:
                facts = json.loads(content.read())
            except ValueError:
                continue
            if isinstance(facts, dict):
                found[f"{tar.stem}/{member.name.removesuffix('.json')}"] = facts
    return found


def _absolute(place: Path) -> str:
    return str(place.resolve()) if is_local(place) else str(place)
