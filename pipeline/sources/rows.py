"""The rows of a table, by its ending, streamed where the format allows it."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import orjson
import pyarrow.parquet as pq

TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".txt")
SUFFIXES = (".parquet", *TEXTS, *(f"{ending}.gz" for ending in TEXTS))

Row = dict[str, Any]


def read_rows(path: Path, url_column: str = "url") -> Iterator[Row | None]:
    """Yield the rows of a table; None for a row that cannot be read. The lines of a txt are `url_column`.

    Raises OSError, EOFError, ValueError, csv.Error or ArrowException where it breaks off.
    """
    if path.suffix == ".parquet":
        for batch in pq.ParquetFile(path).iter_batches(batch_size=10_000):
            yield from batch.to_pylist()
        return
    kind = Path(path.name.removesuffix(".gz")).suffix
    with _open(path) as file:
        if kind == ".jsonl":
            yield from map(_parse_json_line, file)
        elif kind == ".json":
            yield from _rows_of_json(orjson.loads(file.read().removeprefix(codecs.BOM_UTF8)))
        else:
            text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
            if kind == ".txt":
                yield from ({url_column: line.strip()} for line in text if line.strip())
            else:
                yield from csv.DictReader(text, delimiter="\t" if kind == ".tsv" else ",")


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _parse_json_line(line: bytes) -> Row | None:
    try:
        row = orjson.loads(line.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError:
        return None
    return row if isinstance(row, dict) else None


def _rows_of_json(found: Any) -> Iterator[Row | None]:
    """Yield the rows of a list of objects, or of an object of columns, each a list or, as pandas writes it,
    an object of rows."""
    if isinstance(found, list):
        yield from (row if isinstance(row, dict) else None for row in found)
        return
    if not isinstance(found, dict):
        raise ValueError("neither a list of rows nor an object of columns")
    columns = {
        name: list(values.values()) if isinstance(values, dict) else values for name, values in found.items()
    }
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))
