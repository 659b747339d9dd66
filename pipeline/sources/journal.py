"""The journal of a search: each answer that came, a line each, on the disk before the next question."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO

import orjson

from pipeline.records import Candidate, Rejection


@dataclass(frozen=True, slots=True)
class Page:
    """One page of results, and the parameters that ask for the next; none where there is no next."""

    records: Sequence[Candidate | Rejection]
    following: dict[str, str]


@dataclass
class Journal:
    """Pages by term, those of earlier runs first. Without a file nothing is kept."""

    _file: IO[bytes] | None = None
    _pages: dict[str, list[Page]] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def opened(cls, path: Path | None) -> Iterator["Journal"]:
        """Read what is there, without a last line that a kill cut in two, and go on writing behind it."""
        if path is None:
            yield cls()
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        with path.open("r+b") as file:
            journal = cls(file)
            for line in iter(file.readline, b""):
                if not line.endswith(b"\n"):
                    file.seek(-len(line), os.SEEK_END)
                    file.truncate()
                    break
                term, page = _parse(line)
                journal._pages.setdefault(term, []).append(page)
            yield journal

    def pages(self, term: str) -> Sequence[Page]:
        """Return the pages that earlier runs had for a term, in their order."""
        return tuple(self._pages.get(term, ()))

    def write(self, term: str, page: Page) -> None:
        """Write an answer down; it is on the disk when this returns."""
        if self._file is None:
            return
        found = [asdict(record) for record in page.records if isinstance(record, Candidate)]
        failed = [asdict(record) for record in page.records if isinstance(record, Rejection)]
        line = {"term": term, "found": found, "failed": failed, "following": page.following}
        self._file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()
        os.fsync(self._file.fileno())


def _parse(line: bytes) -> tuple[str, Page]:
    content = orjson.loads(line)
    records = [Candidate(**row) for row in content["found"]] + [Rejection(**row) for row in content["failed"]]
    return content["term"], Page(records, content["following"])
