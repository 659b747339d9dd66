"""The records of a dataset's manifest and the columns of its tables. No I/O here: see `store`.

<dataset>/manifest.json             written last, atomically: present means complete
          shards/00000.tar          <key>.jpg (or .png, .webp) <key>.txt <key>.json
          shards/sizes.json         {"00000.tar": 9987, ...}, where open_clip looks for it
          index/00000.parquet       INDEX_SCHEMA, one row per pair, in the order of the shard
          fetch_times/00000.parquet FETCH_TIME_SCHEMA, the same: when each picture was fetched
          rejections/*.parquet      REJECTION_SCHEMA, one row per dropped record
          samples.parquet           SAMPLE_SCHEMA, some of each reason with thumbnails, for the report
          queries.parquet           QUERY_SCHEMA, the search terms, numbered
          coverage.parquet          COVERAGE_SCHEMA, how full the terms of each origin are, by source
          report.html               derived, not part of the contract
          work/                     the build's own; may be deleted once the manifest is there

All of it, with what null means and who reads it how, is written down in docs/format.md.
"""

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 2  # version 1 had no sources, dates and times of changes, and fewer columns; it is read

# One row per pair. Names follow img2dataset where it has one (url, caption, key, width, ...).
INDEX_SCHEMA = pa.schema(
    [
        ("key", pa.string()),  # 32 hex digits, a hash of picture and caption; unique over shards
        ("offset", pa.int64()),  # of the picture's bytes in the shard's tar
        ("num_bytes", pa.int64()),  # of the picture in the shard
        ("caption", pa.string()),
        ("url", pa.string()),
        ("page_url", pa.string()),  # may be null
        ("source", pa.string()),
        ("source_file", pa.string()),  # the crawl file, table or local picture; null for search engines
        ("source_offset", pa.int64()),  # in it: a record's first byte, a table's row from 0; may be null
        ("found_by", pa.list_(pa.string())),  # all searches that found it; null for bulk sources
        ("licence", pa.string()),  # as its source gave it; may be null
        ("author", pa.string()),  # as its source gave it; may be null
        ("caption_origin", pa.string()),  # where the caption stood: alt, figcaption, ...; null where unknown
        ("query_ids", pa.list_(pa.int32())),  # rows of queries.parquet that occur in the caption
        ("keep_probability", pa.float64()),  # of getting through the caps, 1 where no term is over its cap
        ("language", pa.string()),  # ISO 639-1 where it has one
        ("language_score", pa.float32()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("original_bytes", pa.int64()),  # null where img2dataset has fetched it, which does not say
        ("sha256", pa.string()),  # of the bytes as fetched
        ("phash", pa.uint64()),  # 64-bit DCT hash of the decoded pixels
        ("colours", pa.string()),  # mean RGB of 4 x 4 cells, row by row, 96 hex digits; may be null
        ("num_duplicates", pa.int32()),  # dropped copies that this pair stands for
        ("extra_captions", pa.list_(pa.string())),  # of those copies, where they are kept; null without any
        ("extra", pa.string()),  # a JSON object of a table's other columns that were asked for; may be null
        # What was blurred: boxes of left, top, right, bottom, as shares of the upright picture; may be null.
        ("blur_boxes", pa.list_(pa.list_(pa.float64()))),
        # Of the download; all null for a picture that was on this machine.
        ("http_status", pa.int32()),
        ("etag", pa.string()),  # as its server gave it; may be null
        ("last_modified", pa.string()),  # as its server gave it; may be null
        ("final_url", pa.string()),  # where redirects led; null where there was none
        ("robots", pa.string()),  # what robots.txt said: "allowed", or "no rules" where there was none
        (
            "opt_out",
            pa.string(),
        ),  # X-Robots-Tag and TDM-Reservation as seen, also where they allow; may be null
        # By each scorer's name; a score is null where there is none. The column is null without a scorer.
        ("scores", pa.map_(pa.string(), pa.float32())),
    ]
)

# Columns that datasets of earlier versions lack.
ADDED_COLUMNS = (
    *("author", "caption_origin", "colours", "extra_captions", "extra", "blur_boxes"),
    *("http_status", "etag", "last_modified", "final_url", "robots", "opt_out"),
    "scores",
    *("source_file", "source_offset", "keep_probability"),
)

# What is known of a pair besides: of pairs that a fetch was tried for, so that it can be tried again.
OF_TRIED_PAIRS = (
    *("page_url", "found_by", "licence", "author", "caption_origin"),
    *("query_ids", "language", "language_score", "extra", "blur_boxes"),
    *("source_file", "source_offset", "keep_probability"),
)
# What is known of a picture that is dropped as a copy; with `kept_key` it says all of a cluster of copies.
OF_COPIES = ("sha256", "phash")

REJECTION_SCHEMA = pa.schema(
    [
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),  # the measurement: "shorter side 63 px < 64 px"
        ("url", pa.string()),
        ("caption", pa.string()),
        ("source", pa.string()),
        ("kept_key", pa.string()),  # of the pair kept in its stead; null but for duplicate pictures
        *(INDEX_SCHEMA.field(name) for name in OF_TRIED_PAIRS),  # null but for stages fetch and image
        ("expected_hash", pa.string()),  # the same; sha256:DIGITS, where the pair's source gave one
        # Of dropped copies: bits of the hash that differ from the best better copy's, then its own hashes.
        ("distance", pa.int32()),
        *(INDEX_SCHEMA.field(name) for name in OF_COPIES),
    ]
)

# When pictures were fetched stands beside the index, which is the same in every build of the same inputs.
FETCH_TIME_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("fetched_at", pa.timestamp("ms", tz="UTC")),  # null for a picture that was on this machine
    ]
)

SAMPLE_SCHEMA = REJECTION_SCHEMA.append(pa.field("thumbnail", pa.binary()))  # JPEG <= 128 px, or null
SAMPLES_PER_REASON = 24  # at most, of samples.parquet

QUERY_SCHEMA = pa.schema(
    [
        ("query_id", pa.int32()),
        ("text", pa.string()),
        ("origin", pa.string()),  # given / word / bigram / title / synset
        ("num_matched", pa.int64()),  # pairs whose caption holds the term, before the cap
        ("num_tried", pa.int64()),  # of those, the ones that the cap let through to be fetched
        ("num_kept", pa.int64()),  # of those in the dataset
        ("keep_probability", pa.float64()),  # by this term's draws; null under the exact cap
    ]
)

# Counts are of hits, a (pair, term) each: a pair with two terms is counted with both.
COVERAGE_SCHEMA = pa.schema(
    [
        ("origin", pa.string()),  # of the terms
        ("source", pa.string()),  # of the pairs
        ("num_queries", pa.int64()),  # terms of this origin that this source has pairs for
        ("num_matched", pa.int64()),
        ("num_tried", pa.int64()),
        ("num_kept", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageCount:
    """One stage of the funnel. `num_in == num_out + sum(dropped.values())`, which `verify` checks."""

    stage: str
    num_in: int
    num_out: int
    dropped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRecord:
    """A file of the dataset: path relative to its root, size and hash."""

    path: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """A tar of pairs and its index, which has one row per pair in the tar's order."""

    tar: FileRecord
    index: FileRecord
    num_pairs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done to a dataset after it was built. `num_tried == num_gained + sum(dropped.values())`."""

    kind: str  # retry and extend, which add pairs; score, which looks at all and keeps some; ...
    request: dict[str, Any]  # what was asked for
    num_tried: int
    num_gained: int  # of those that were tried, the pairs that are in the dataset
    dropped: dict[str, int]  # of those that were tried, by their new reasons
    at: str | None = None  # ISO 8601, UTC; None where an earlier version has written it


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRecord:
    """What one source gave and where it was read."""

    name: str
    num_candidates: int  # its pictures with a text, before anything was dropped
    read: tuple[str, ...]  # files as in the column source_file, folders, or a service's endpoint
    licence: str  # what is known of the licences of what it gives


@dataclass(frozen=True, slots=True, kw_only=True)
class Dates:
    """When a dataset came about; ISO 8601, UTC."""

    begun: str | None  # the build; None where an earlier version has begun it
    fetched_from: str | None  # the first and the last picture of the dataset; None where none was fetched
    fetched_to: str | None
    finished: str  # the build, or the last addition to it


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A whole dataset: what it was built from, what was dropped and what is there."""

    schema_version: int = SCHEMA_VERSION
    name: str
    created_at: str  # of this manifest; ISO 8601, UTC. Like `dates` it differs between equal builds
    code_version: str
    config: dict[str, Any]
    num_pairs: int
    num_queries: int
    queries_sha256: str  # of the numbered list's text view
    funnel: tuple[StageCount, ...]
    shards: tuple[Shard, ...]
    files: tuple[FileRecord, ...]  # everything else that belongs to the dataset
    content_hash: str  # of the shards' hashes in order: equal datasets have equal content
    history: tuple[Change, ...] = ()  # the first change first
    sources: tuple[SourceRecord, ...] = ()  # those that were on; none where version 1 has written it
    dates: Dates | None = None  # None where version 1 has written it
