"""URL tables with a column of URLs and one of captions: all that img2dataset reads, and its columns."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

import orjson
import pyarrow as pa

from filters.reasons import Drop, Reason
from manifests.storage import files_below, here, location
from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection, reject
from pipeline.sources.names import names_of
from pipeline.sources.rows import SUFFIXES, read_rows

DIGITS = {"md5": 32, "sha256": 64, "sha512": 128}
MAX_BOXES = 500


@dataclass(frozen=True, kw_only=True)
class Table:
    """Candidates listed in files; folders are searched for tables."""

    paths: tuple[str, ...] = ()
    """Files or folders, here or in a store, of parquet, csv, tsv, json, jsonl or txt, a URL a line (but for
    parquet also .gz)."""
    url_column: str = "url"
    caption_column: str = "caption"
    default_caption: str = ""
    """Of rows that have none, such as those of a txt; without it they are dropped."""
    page_url_column: str = "page_url"
    """May be absent from the file, like licence-column."""
    licence_column: str = "licence"
    additional_columns: tuple[str, ...] = ()
    """Columns to keep besides, as JSON in the index's column extra."""
    hash_column: str = ""
    """Column of what the picture's bytes must hash to; others are dropped as hash_mismatch."""
    hash_type: Literal["md5", "sha256", "sha512"] = "sha256"
    boxes_column: str = ""
    """Column of boxes to blur, such as faces: a list of [left, top, right, bottom], each a share (0 to 1) of
    the upright picture's side; or that list as JSON text."""

    @property
    def max_parallel(self) -> int:
        return 64

    @property
    def licence(self) -> str:
        return f"as its column {self.licence_column} says, kept in the column licence"

    def places(self) -> list[str]:
        """Return the tables by their names."""
        return names_of([str(file) for file in self.files()])

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return one unit per file, numbered in the order of their paths."""
        return [f"{number:05d}" for number in range(len(self.files()))]

    def files(self) -> list[Path]:
        """Return the tables in order. Raises ValueError for a path that is none."""
        found: list[Path] = []
        for path in map(location, self.paths):
            inside = _tables_below(path) if path.is_dir() else [path]
            if not inside or not all(file.is_file() and file.name.endswith(SUFFIXES) for file in inside):
                known = ", ".join(SUFFIXES)
                raise ValueError(
                    f"table.paths: {path} is no table or folder with one; known endings: {known}"
                )
            found += inside
        return found

    def read(self, unit: str, queries: Sequence[Query], network: Network) -> Iterator[Candidate | Rejection]:
        """Yield the candidates of one file; a row without URL or caption is a Rejection."""
        path, name = self.files()[int(unit)], self.places()[int(unit)]
        with here(path) as copy:
            yield from self._read(copy, name)

    def _read(self, path: Path, name: str) -> Iterator[Candidate | Rejection]:
        num_rows = 0
        try:
            for row in read_rows(path, self.url_column):
                num_rows += 1
                yield self._candidate(row or {}, name, num_rows - 1)
        except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException) as error:
            detail = f"{path.name} breaks off after row {num_rows}: {type(error).__name__}"
            yield reject(
                "crawl", Drop(Reason.SOURCE_ERROR, detail), Candidate(url="", caption="", source="table")
            )

    def _candidate(self, row: dict[str, Any], file: str, number: int) -> Candidate | Rejection:
        url, caption = row.get(self.url_column), row.get(self.caption_column)
        page_url, licence = row.get(self.page_url_column), row.get(self.licence_column)
        said: dict[str, Any] = {"url": str(url or ""), "caption": str(caption or self.default_caption)}
        try:
            missing = [name for name in ("url", "caption") if not said[name]]
            if missing:
                raise ValueError(f"no {getattr(self, f'{missing[0]}_column')}")
            expected = expected_hash(row.get(self.hash_column), self.hash_type)
            boxes = blur_boxes(row.get(self.boxes_column))
        except ValueError as error:
            return reject(
                "crawl",
                Drop(Reason.SOURCE_ERROR, f"{PurePath(file).name} row {number + 1} has {error}"),
                Candidate(**said, source="table"),
            )
        return Candidate(
            **said,
            source="table",
            page_url=str(page_url) if page_url else None,
            licence=str(licence) if licence else None,
            extra=extra_of(row, self.additional_columns),
            expected_hash=expected,
            blur_boxes=boxes,
            source_file=file,
            source_offset=number,
        )


def _tables_below(folder: Path) -> list[Path]:
    """Return a folder's tables; a txt is one only where it is named, and notes of somebody otherwise."""
    endings = tuple(ending for ending in SUFFIXES if not ending.startswith(".txt"))
    return [path for path in files_below(folder) if path.name.endswith(endings)]


def extra_of(row: dict[str, Any], names: Sequence[str]) -> str | None:
    """Return these columns of a row as a JSON object, those that it lacks as null; None for no names."""
    if not names:
        return None
    return orjson.dumps({name: row.get(name) for name in names}, default=str).decode()


def expected_hash(value: Any, kind: str) -> str | None:
    """Return kind:DIGITS, None where there is none. Raises ValueError for what is no such hash."""
    if value in (None, ""):
        return None
    digits = value.hex() if isinstance(value, bytes) else str(value).strip().lower()
    if len(digits) != DIGITS[kind] or set(digits) - set("0123456789abcdef"):
        raise ValueError(f"{digits[:12]!r}, which is no {kind}")
    return f"{kind}:{digits}"


def blur_boxes(value: Any) -> list[list[float]] | None:
    """Return boxes of a list or of its JSON; None for none. Raises ValueError for what cannot be read: a face
    that should be blurred must not be kept as it is.

    >>> blur_boxes("[[0, 0.25, 0.5, 1]]")
    [[0.0, 0.25, 0.5, 1.0]]
    """
    try:
        found = orjson.loads(value) if isinstance(value, str) and value.strip() else value or []
        boxes = [[float(share) for share in box] for box in found]
        good = all(len(box) == 4 and 0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1 for box in boxes)
    except (TypeError, ValueError):
        good, boxes = False, []
    if not good or len(boxes) > MAX_BOXES:
        raise ValueError(f"boxes that cannot be blurred: {str(value)[:40]}")
    return boxes or None
