"""Folders of pictures and videos on this machine, as units of an index: some files, or one video."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from train.search.parts import Row
from train.search.unit import COLUMNS, Picture
from train.search.video import Frame, frames_of

PICTURES = (".jpg", ".jpeg", ".png", ".webp")
VIDEOS = (".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ogv", ".mpg", ".mpeg")
FILES_PER_PART = 1_000
MAX_CAPTION = 2_000  # characters of a text beside a file


@dataclass(frozen=True, kw_only=True)
class FilesUnit:
    """Some pictures of one folder."""

    root: Path
    files: tuple[Path, ...]

    @property
    def place(self) -> str:
        return str(self.root.resolve())

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
        return str(self.root.resolve())

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


def folder_units(root: Path, every_s: float) -> Iterator[FilesUnit | VideoUnit]:
    """Yield the units of a folder and those below it; links are not followed, hidden files not looked at."""
    for folder, folders, names in os.walk(root):  # it is on this machine
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = [Path(folder, name) for name in sorted(names) if not name.startswith(".")]
        files = [path for path in paths if path.is_file() and not path.is_symlink()]
        chosen = [path for path in files if path.suffix.lower() in PICTURES]
        for start in range(0, len(chosen), FILES_PER_PART):
            yield FilesUnit(root=root, files=tuple(chosen[start : start + FILES_PER_PART]))
        for path in files:
            if path.suffix.lower() in VIDEOS:
                yield VideoUnit(root=root, path=path, every_s=every_s)


def stamp(path: Path) -> str:
    """Return what changes when a file is written anew."""
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"


def _bytes_of(path: Path) -> bytes:
    """Return a file's bytes; none of one that may not be read, which is then named with those that hold no
    picture."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _file_row(root: Path, path: Path, caption: str) -> Row:
    name = path.relative_to(root).as_posix()
    known: Row = dict.fromkeys(COLUMNS) | {"key": name, "caption": caption, "source": "folder"}
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
    words = path.stem.replace("_", " ").replace("-", " ")
    return words.encode("utf-8", "replace").decode()  # names may be any bytes
