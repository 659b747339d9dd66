"""What a crawl file gives: a picture, a caption and where it stood, gathered into Arrow blocks."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from pipeline.records import CANDIDATE_SCHEMA

ROWS_PER_BLOCK = 50_000


class Found(msgspec.Struct, frozen=True, gc=False):
    """A picture on a page and one text that the page gives for it. A WAT file holds 400,000: a struct that
    the garbage collector does not look at costs a quarter of a dataclass."""

    url: str
    caption: str
    origin: str
    """alt, title, figcaption, og or json-ld."""
    page_url: str
    licence: str | None = None


class Page(NamedTuple):
    """The pictures of a page, and where its record begins in the crawl file: in its bytes as they are stored,
    where one can go on reading."""

    offset: int
    pictures: list[Found]


class Unreadable(NamedTuple):
    """A piece of a file that could not be read, and why."""

    detail: str


def to_blocks(pages: Iterable[Page], source: str, file: str) -> Iterator[pa.Table]:
    """Yield the candidates of a file's pages in blocks of CANDIDATE_SCHEMA, some 50,000 rows each. `file`: by
    which name the dataset knows it."""
    rows: list[Found] = []
    starts, counts = list[int](), list[int]()
    for offset, pictures in pages:
        rows += pictures
        starts.append(offset)
        counts.append(len(pictures))
        if len(rows) >= ROWS_PER_BLOCK:
            yield _block(rows, np.repeat(starts, counts), source, file)
            rows, starts, counts = [], [], []
    if rows:
        yield _block(rows, np.repeat(starts, counts), source, file)


def _block(rows: list[Found], offsets: np.ndarray, source: str, file: str) -> pa.Table:
    """Return rows as a table, column by column: a tenth of the cost of a dictionary each."""
    columns = {
        "url": _strings([found.url for found in rows]),
        "caption": _strings([found.caption for found in rows]),
        "caption_origin": _strings([found.origin for found in rows]),
        "page_url": _strings([found.page_url for found in rows]),
        "source": pa.repeat(source, len(rows)),
        "source_file": pa.repeat(file, len(rows)),
        "source_offset": pa.array(offsets, pa.int64()),
        "licence": _strings([found.licence for found in rows]),
    }
    return pa.table(
        [
            columns[field.name].cast(field.type) if field.name in columns else pa.nulls(len(rows), field.type)
            for field in CANDIDATE_SCHEMA
        ],
        schema=CANDIDATE_SCHEMA,
    )


def _strings(texts: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:  # halves of surrogate pairs, which a page may hold and UTF-8 may not
        return pa.array([text and text.encode("utf-8", "replace").decode() for text in texts], pa.string())
