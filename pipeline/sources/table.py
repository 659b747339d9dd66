"""URL tables: parquet, csv, tsv or jsonl (each also .gz) with a column of URLs and one of captions."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from filters.reasons import Drop, Reason
from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection, reject

SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")


@dataclass(frozen=True, kw_only=True)
class Table:
    """Candidates listed in files; folders are searched for tables."""

    paths: tuple[str, ...] = ()
    """Files or folders of parquet, csv, tsv or jsonl (.gz)."""
    url_column: str = "url"
    caption_column: str = "caption"
    page_url_column: str = "page_url"
    """May be absent from the file, like licence-column."""
    licence_column: str = "licence"

    @property
    def max_parallel(self) -> int:
        return 64

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return one unit per file, numbered in the order of their paths."""
        return [f"{number:05d}" for number in range(len(self.files()))]

    def files(self) -> list[Path]:
        """Return the tables in order. Raises ValueError for a path that is none."""
        found: list[Path] = []
        for path in map(Path, self.paths):
            inside = (
                sorted(p for p in path.rglob("*") if p.name.endswith(SUFFIXES)) if path.is_dir() else [path]
            )
            if not inside or not all(file.is_file() and file.name.endswith(SUFFIXES) for file in inside):
                known = ", ".join(SUFFIXES)
                raise ValueError(
                    f"table.paths: {path} is no table or folder with one; known endings: {known}"
                )
            found += inside
        return found

    def read(self, unit: str, queries: Sequence[Query], network: Network) -> Iterator[Candidate | Rejection]:
        """Yield the candidates of one file; a row without URL or caption is a Rejection."""
        path = self.files()[int(unit)]
        num_rows = 0
        try:
            for row in read_rows(path):
                num_rows += 1
                yield self._candidate(row, path.name, num_rows)
        except (OSError, EOFError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
            detail = f"{path.name} breaks off after row {num_rows}: {type(error).__name__}"
            yield reject(
                "crawl", Drop(Reason.SOURCE_ERROR, detail), Candidate(url="", caption="", source="table")
            )

    def _candidate(self, row: dict[str, Any] | None, name: str, number: int) -> Candidate | Rejection:
        row = row or {}
        url, caption = row.get(self.url_column), row.get(self.caption_column)
        page_url, licence = row.get(self.page_url_column), row.get(self.licence_column)
        candidate = Candidate(
            url=str(url or ""),
            caption=str(caption or ""),
            source="table",
            page_url=str(page_url) if page_url else None,
            licence=str(licence) if licence else None,
        )
        if candidate.url and candidate.caption:
            return candidate
        missing = self.caption_column if candidate.url else self.url_column
        return reject("crawl", Drop(Reason.SOURCE_ERROR, f"{name} row {number} has no {missing}"), candidate)


def read_rows(path: Path) -> Iterator[dict[str, Any] | None]:
    """Yield the rows of a table by its ending, streamed; None for a row that cannot be read."""
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(batch_size=10_000):
            yield from batch.to_pylist()
        return
    kind = Path(path.name.removesuffix(".gz")).suffix
    with _open(path) as file:
        if kind == ".jsonl":
            yield from map(_parse_json_line, file)
        else:
            delimiter = "\t" if kind == ".tsv" else ","
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            yield from csv.DictReader(text, delimiter=delimiter)


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _parse_json_line(line: bytes) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None
