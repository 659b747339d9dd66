"""What a crawl file gives: a picture, a caption and where it stood, gathered into Arrow blocks."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import msgspec
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
    licence: str | None


class Unreadable(NamedTuple):
    """A piece of a file that could not be read, and why."""

    detail: str


def to_blocks(rows: Iterable[Found], source: str) -> Iterator[pa.Table]:
    """Yield candidates of CANDIDATE_SCHEMA in blocks, column by column: a tenth of the cost of a row each."""
    left = iter(rows)
    while block := list(islice(left, ROWS_PER_BLOCK)):
        none = pa.nulls(len(block), pa.string())
        columns = {
            "url": _strings([found.url for found in block]),
            "caption": _strings([found.caption for found in block]),
            "caption_origin": _strings([found.origin for found in block]),
            "page_url": _strings([found.page_url for found in block]),
            "source": pa.repeat(source, len(block)),
            "licence": _strings([found.licence for found in block]),
        }
        yield pa.table(
            [columns.get(field.name, none).cast(field.type) for field in CANDIDATE_SCHEMA],
            schema=CANDIDATE_SCHEMA,
        )


def _strings(texts: Sequence[str | None]) -> pa.Array:
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:  # halves of surrogate pairs, which a page may hold and UTF-8 may not
        return pa.array([text and text.encode("utf-8", "replace").decode() for text in texts], pa.string())
