"""The records that flow through a build, and the columns in which phases hand them on.

Records are checked where they are made; between phases they lie in parquet, and cross a shuffle as Arrow
blocks (see `blocks`), which cost a tenth of what a pickled object per row costs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from filters.reasons import Drop, Reason
from manifests.schema import FETCH_TIME_SCHEMA, INDEX_SCHEMA, OF_COPIES, OF_TRIED_PAIRS, SAMPLE_SCHEMA

_OF_A_CANDIDATE = (
    *("url", "caption", "page_url", "source", "found_by", "licence", "author", "caption_origin"),
    *("extra", "blur_boxes", "source_file", "source_offset"),
)
# Of the bytes that a URL should give; needed until they are there.
_EXPECTED_HASH = pa.field("expected_hash", pa.string())
PAIR_SCHEMA = pa.schema(
    [
        pa.field("pair_id", pa.string()),
        *(INDEX_SCHEMA.field(name) for name in _OF_A_CANDIDATE),
        *(INDEX_SCHEMA.field(name) for name in ("query_ids", "language", "language_score")),
        INDEX_SCHEMA.field("keep_probability"),  # of getting through the caps so far
        _EXPECTED_HASH,
    ]
)
# A candidate was found by one search; a pair may have been found by several.
CANDIDATE_SCHEMA = pa.schema(
    [
        *(
            pa.field(name, pa.string()) if name == "found_by" else INDEX_SCHEMA.field(name)
            for name in _OF_A_CANDIDATE
        ),
        _EXPECTED_HASH,
    ]
)
# When a picture was fetched goes beside the index, not into it: see `manifests.fetch_times`.
_FETCHED_AT = FETCH_TIME_SCHEMA.field("fetched_at")
# The staged bytes of a picture lie at `offset` of work/fetched/<unit>.tar.
IMAGE_SCHEMA = pa.schema(
    [
        *PAIR_SCHEMA,
        pa.field("key", pa.string()),
        pa.field("unit", pa.string()),
        *(
            INDEX_SCHEMA.field(name)
            for name in (
                *("offset", "num_bytes", "width", "height"),
                *("original_width", "original_height", "original_bytes", "sha256", "phash", "colours"),
                *("http_status", "etag", "last_modified", "final_url", "robots", "opt_out"),
                "scores",
            )
        ),
        _FETCHED_AT,
    ]
)
KEPT_SCHEMA = pa.schema(
    [*IMAGE_SCHEMA, INDEX_SCHEMA.field("num_duplicates"), INDEX_SCHEMA.field("extra_captions")]
)
# Rejections of these stages carry all of their pair, so that it can be tried again.
TRIED_STAGES = ("fetch", "image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search term and its number, which is its row in the list."""

    query_id: int
    text: str
    origin: str = "given"  # word / bigram / title / synset, in a list of `python -m pipeline queries`


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture's address and a text that a source gives for it; nothing is checked yet."""

    url: str
    caption: str
    source: str
    page_url: str | None = None
    found_by: str | None = None  # the term that a search engine was asked
    licence: str | None = None
    author: str | None = None
    caption_origin: str | None = None  # where the caption stood: alt, title, figcaption, description, ...
    extra: str | None = None  # a JSON object of a table's other columns
    blur_boxes: list[list[float]] | None = None  # left, top, right, bottom, as shares of the upright picture
    expected_hash: str | None = None  # sha256:DIGITS of the bytes at the URL, or md5:DIGITS
    source_file: str | None = None  # the table or the local picture that it stands in
    source_offset: int | None = None  # its row there, from 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A dropped record: where, why, and the measurement that says so."""

    stage: str
    reason: str
    detail: str
    url: str
    caption: str
    source: str
    kept_key: str | None = None
    page_url: str | None = None
    found_by: list[str] | None = None
    licence: str | None = None
    author: str | None = None
    caption_origin: str | None = None
    query_ids: list[int] | None = None
    language: str | None = None
    language_score: float | None = None
    extra: str | None = None
    blur_boxes: list[list[float]] | None = None
    expected_hash: str | None = None
    source_file: str | None = None
    source_offset: int | None = None
    keep_probability: float | None = None
    distance: int | None = None
    sha256: str | None = None
    phash: int | None = None
    thumbnail: bytes | None = None


def reject(stage: str, drop: Drop, record: dict[str, Any] | Candidate, **extra: Any) -> Rejection:
    """Return the Rejection of a candidate or of a row that has url, caption and source; of a pair that was
    tried, with all that is known of it; of a copy (`kept_key`), with its hashes."""
    if isinstance(record, Candidate):
        record = {"url": record.url, "caption": record.caption, "source": record.source}
    if drop.reason == Reason.TAKEN_DOWN:  # what it was shall not stand anywhere again
        blank = {"url": "", "caption": "", "source": record["source"]}
        return Rejection(stage=stage, reason=str(drop.reason), detail=drop.detail, **blank)
    if stage in TRIED_STAGES:
        extra |= {name: record.get(name) for name in (*OF_TRIED_PAIRS, "expected_hash")}
    if extra.get("kept_key"):
        extra |= {name: record.get(name) for name in OF_COPIES}
    return Rejection(
        stage=stage,
        reason=str(drop.reason),
        detail=drop.detail,
        url=record["url"],
        caption=record["caption"],
        source=record["source"],
        **extra,
    )


def to_table(records: Iterable[Any], schema: pa.Schema) -> pa.Table:
    """Turn dataclass records or rows into a table of exactly these columns."""
    rows = [record if isinstance(record, dict) else _fields(record) for record in records]
    return pa.Table.from_pylist(rows, schema=schema)


def rejections_table(rejections: Sequence[Rejection]) -> pa.Table:
    """Return rejections as a table, sorted so that equal sets give equal bytes."""
    key = ("stage", "reason", "url", "caption", "detail")
    ordered = sorted(rejections, key=lambda rejection: tuple(getattr(rejection, name) for name in key))
    return to_table(ordered, SAMPLE_SCHEMA)


def _fields(record: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in record.__slots__}
