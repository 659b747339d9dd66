"""The journal of a search: each answer that came, on the disk or in the store before the next question.

On this machine it is one file, a line an answer. A store has no file to append to: there it is a folder, an
object an answer, which are read back in the order of their numbers.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Protocol

import orjson

from manifests.storage import files_below, is_local, read_bytes, remove_file, remove_folder
from manifests.store import write_bytes
from pipeline.records import Candidate, Rejection


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results, and the parameters that ask for the next; none where there is no next."""

    records: Sequence[Candidate | Rejection]
    following: dict[str, str]


class Lines(Protocol):
    """Where the lines of a journal lie."""

    def write(self, line: bytes) -> None:
        """Keep a line; it is safe when this returns."""


@dataclass
class Journal:
    """Pages by term, those of earlier runs first. Without a place nothing is kept."""

    _lines: Lines | None = None
    _pages: dict[str, list[Page]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None) -> Iterator["Journal"]:
        """Read what is there, and go on writing behind it."""
        if path is None:
            yield cls()
            return
        with _opened_file(path) if is_local(path) else _opened_folder(path) as (lines, found):
            journal = cls(lines)
            for line in found:
                term, page = _parse(line)
                journal._pages.setdefault(term, []).append(page)
            yield journal

    def pages(self, term: str) -> Sequence[Page]:
        """Return the pages that earlier runs had for a term, in their order."""
        return tuple(self._pages.get(term, ()))

    def write(self, term: str, page: Page) -> None:
        """Write an answer down; it is safe when this returns."""
        if self._lines is None:
            return
        found = [asdict(record) for record in page.records if isinstance(record, Candidate)]
        failed = [asdict(record) for record in page.records if isinstance(record, Rejection)]
        line = {"term": term, "found": found, "failed": failed, "following": page.following}
        self._lines.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))


def forget(path: Path) -> None:
    """Remove a journal whose answers stand elsewhere now."""
    if is_local(path):
        remove_file(path)
    else:
        remove_folder(path)


@dataclass
class _File:
    """Lines of one file."""

    file: IO[bytes]

    def write(self, line: bytes) -> None:
        self.file.write(line)
        self.file.flush()
        os.fsync(self.file.fileno())


@contextmanager
def _opened_file(path: Path) -> Iterator[tuple[Lines, list[bytes]]]:
    """Give a file's lines, without a last one that a kill cut in two."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with path.open("r+b") as file:
        lines = list(file)
        if lines and not lines[-1].endswith(b"\n"):
            file.seek(-len(lines.pop()), os.SEEK_END)
            file.truncate()
        yield _File(file), lines


@dataclass
class _Folder:
    """Lines that are objects."""

    folder: Path
    number: int

    def write(self, line: bytes) -> None:
        write_bytes(self.folder / f"{self.number:08d}.json", line)
        self.number += 1


@contextmanager
def _opened_folder(folder: Path) -> Iterator[tuple[Lines, list[bytes]]]:
    files = files_below(folder)
    yield _Folder(folder, len(files)), [read_bytes(file) for file in files]


def _parse(line: bytes) -> tuple[str, Page]:
    content = orjson.loads(line)
    records = [Candidate(**row) for row in content["found"]] + [Rejection(**row) for row in content["failed"]]
    return content["term"], Page(records, content["following"])
