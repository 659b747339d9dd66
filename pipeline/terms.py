"""Reading the search terms of a build: a text file, or a query list with the origin of each term."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from filters.queries import MatchMode, comparable, read_queries
from pipeline.records import Query


def read_terms(path: Path, mode: MatchMode = "casefold") -> list[Query]:
    """Return the terms of a file, numbered in its order; of terms that find the same the first is kept.

    A .parquet file, such as `python -m pipeline queries` writes, has a column "text" and may have one
    "origin"; any other file is text (see `filters.queries.read_queries`). Raises ValueError where there is no
    term.
    """
    if path.suffix != ".parquet":
        return [Query(query_id=number, text=text) for number, text in enumerate(read_queries(path, mode))]
    first_of: dict[str, tuple[str, str]] = {}
    for text, origin in _rows(path):
        if words := comparable(text, mode):
            first_of.setdefault(words, (text, origin))
    if not first_of:
        raise ValueError(f"{path} holds no search term: its column text is empty")
    return [
        Query(query_id=number, text=text, origin=origin)
        for number, (text, origin) in enumerate(first_of.values())
    ]


def _rows(path: Path) -> list[tuple[str, str]]:
    try:
        table = pq.read_table(path)
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no parquet file that can be read: {error}") from error
    if "text" not in table.column_names:
        raise ValueError(f"{path} has no column text; it has {', '.join(table.column_names)}")
    texts = [str(text or "") for text in table["text"].to_pylist()]
    if "origin" not in table.column_names:
        return [(text, "given") for text in texts]
    return list(zip(texts, (str(origin) for origin in table["origin"].to_pylist()), strict=True))
