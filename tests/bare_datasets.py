"""Datasets of made-up rows with empty pictures: enough for what reads manifests, indexes and rejections."""

import hashlib
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.schema import (
    INDEX_SCHEMA,
    QUERY_SCHEMA,
    REJECTION_SCHEMA,
    Manifest,
    Shard,
    StageCount,
)
from manifests.storage import written_whole
from manifests.store import Dataset, content_hash, open_dataset, record_file, write_manifest, write_table

Row = dict[str, Any]


def pair(number: int, picture: str = "", **facts: Any) -> Row:
    """An index row: the pair of this number, with a picture of this name."""
    caption = f"a drawing of thing {number}"
    key = hashlib.blake2b(f"{number} {picture}".encode(), digest_size=16).hexdigest()
    url = f"https://host-{number % 7}.example/{number}.jpg"
    return {"key": key, "caption": caption, "url": url, "source": "table", **facts}


def rejected(number: int, stage: str, reason: str, detail: str = "") -> Row:
    """A row of rejections: the pair of this number."""
    row = pair(number)
    names = {"url": row["url"], "caption": row["caption"], "source": row["source"]}
    return {**names, "stage": stage, "reason": reason, "detail": detail}


def write_bare(
    root: Path,
    shards: Sequence[Sequence[Row]],
    rejections: Sequence[Row] = (),
    terms: Sequence[str] = ("thing",),
    **fields: Any,
) -> Dataset:
    """Write a dataset of these shards, each picture of no bytes. `fields` are of the manifest."""
    written = tuple(_shard(root, f"{number:05d}", rows) for number, rows in enumerate(shards))
    write_table(root / "rejections/00000.parquet", _table(rejections, REJECTION_SCHEMA))
    queries = [{"query_id": number, "text": term, "origin": "given"} for number, term in enumerate(terms)]
    write_table(root / "queries.parquet", _table(queries, QUERY_SCHEMA))
    given: Row = {
        "name": "bare",
        "created_at": "2026-11-21T00:00:00+00:00",
        "code_version": "openwit 0.1.0",
        "config": {},
        "num_pairs": sum(map(len, shards)),
        "num_queries": len(terms),
        "queries_sha256": hashlib.sha256("\n".join(terms).encode()).hexdigest(),
        "funnel": funnel(rejections, sum(map(len, shards))),
        "shards": written,
        "files": tuple(
            record_file(root, root / name) for name in ("queries.parquet", "rejections/00000.parquet")
        ),
        "content_hash": content_hash(written),
    }
    write_manifest(root, Manifest(**{**given, **fields}))
    return open_dataset(root)


def funnel(rejections: Sequence[Row], num_pairs: int) -> tuple[StageCount, ...]:
    """The stages of these rejections, in their order, that end with this many pairs."""
    dropped: dict[str, Counter[str]] = {}
    for row in rejections:
        dropped.setdefault(row["stage"], Counter())[row["reason"]] += 1
    left, stages = num_pairs + len(rejections), []
    for stage, reasons in dropped.items():
        num_out = left - reasons.total()
        stages.append(StageCount(stage=stage, num_in=left, num_out=num_out, dropped=dict(reasons)))
        left = num_out
    return tuple(stages)


def _shard(root: Path, name: str, rows: Sequence[Row]) -> Shard:
    index, tar = root / f"index/{name}.parquet", root / f"shards/{name}.tar"
    write_table(index, _table(rows, INDEX_SCHEMA))
    with written_whole(tar) as temporary, tarfile.open(temporary, "w") as file:
        for row in rows:
            file.addfile(tarfile.TarInfo(f"{row['key']}.jpg"))
    return Shard(tar=record_file(root, tar), index=record_file(root, index), num_pairs=len(rows))


def _table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=schema)
