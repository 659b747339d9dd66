"""Some of a dataset's pairs as a new dataset: its tars, indexes and counts; the old one is untouched.

One shard is in memory at a time, and each is there whole or not at all: a run that was cut short goes on with
those that are missing. The manifest is written last.
"""

import datetime
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.copying import copy_members
from manifests.counts import hits, write_counts
from manifests.report import write_report
from manifests.schema import (
    REJECTION_SCHEMA,
    Change,
    FileRecord,
    Manifest,
    Shard,
    StageCount,
)
from manifests.storage import link_or_copy
from manifests.store import (
    Dataset,
    clear_cut_short,
    content_hash,
    record_file,
    write_bytes,
    write_manifest,
    write_table,
)

SAMPLES_PER_REASON = 24


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The pairs of a shard after a look at all of them."""

    shard: Shard
    rows: pa.Table  # INDEX_SCHEMA, all rows of the shard in their order, with what was learned of them
    details: list[str | None]  # for each why it is dropped, as "nsfw 0.7 > 0.5"; None keeps it

    @property
    def kept(self) -> pa.Array:
        """Bool, one for each row."""
        return pa.array([detail is None for detail in self.details], pa.bool_())


def write_kept(source: Dataset, judged: Judged, out: Path, name: str) -> None:
    """Write the pairs of a shard that are kept to shards/<name>.tar, then index/<name>.parquet."""
    tar, kept = out / "shards" / f"{name}.tar", judged.rows.filter(judged.kept)
    if len(kept) == len(judged.rows):
        link_or_copy(source.tar_path(judged.shard), tar)
    else:
        offsets = copy_members(source.tar_path(judged.shard), kept, tar)
        place = kept.schema.get_field_index("offset")
        kept = kept.set_column(place, kept.schema.field(place), pa.array(offsets, pa.int64()))
    write_table(out / "index" / f"{name}.parquet", kept)


def write_selection(
    source: Dataset, judged: Iterable[Judged], out: Path, stage: str, reason: str, change: Change
) -> Manifest:
    """Write the pairs that are kept as a dataset at `out`, and its manifest, which says at which stage of the
    funnel the others were dropped, why, and by what change. Shards are numbered anew, none is empty.

    `judged` has every shard of `source`, in order, and gives the same in every run. `change` counts what was
    tried; what was kept is filled in.
    """
    clear_cut_short(out)
    lost, shards, rejections = Counter[tuple[int, str]](), list[Shard](), _link_rejections(source, out)
    num_dropped, samples = 0, [pq.read_table(source.root / "samples.parquet")]
    for each in judged:
        if pc.any(each.kept).as_py():
            shards.append(_write_shard(source, each, out, f"{len(shards):05d}"))
        dropped = each.rows.filter(pc.invert(each.kept))
        if len(dropped):
            num_dropped += len(dropped)
            lost.update(hits(dropped))
            details = [detail for detail in each.details if detail is not None]
            path = out / "rejections" / f"{len(rejections):05d}.parquet"
            table = _rejected(dropped, stage, reason, details)
            write_table(path, table)
            rejections.append(record_file(out, path))
            # Keys are hashes, so that the first rows are a fair sample. None is shown as a picture.
            room = max(0, SAMPLES_PER_REASON - sum(map(len, samples[1:])))
            samples.append(table.slice(0, room))
    assert change.num_tried == source.manifest.num_pairs, (change, source.manifest.num_pairs)
    sizes = {Path(shard.tar.path).name: shard.num_pairs for shard in shards}
    write_bytes(out / "shards" / "sizes.json", json.dumps(sizes, separators=(",", ":")).encode())
    write_counts(source, lost, out)
    write_table(out / "samples.parquet", pa.concat_tables(samples, promote_options="default"))
    tables = ("coverage.parquet", "queries.parquet", "samples.parquet", "shards/sizes.json")
    reasons = {reason: num_dropped} if num_dropped else {}
    return _publish(
        source.manifest,
        out,
        tuple(shards),
        (*rejections, *(record_file(out, out / table) for table in tables)),
        StageCount(
            stage=stage,
            num_in=source.manifest.num_pairs,
            num_out=source.manifest.num_pairs - num_dropped,
            dropped=reasons,
        ),
        replace(change, num_gained=change.num_tried - num_dropped, dropped=reasons),
    )


def _publish(
    old: Manifest,
    out: Path,
    shards: tuple[Shard, ...],
    files: Sequence[FileRecord],
    stage: StageCount,
    change: Change,
) -> Manifest:
    num_pairs = sum(shard.num_pairs for shard in shards)
    assert num_pairs == stage.num_out, (num_pairs, stage)
    manifest = replace(
        old,
        name=out.resolve().name,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        num_pairs=num_pairs,
        funnel=(*old.funnel, stage),
        shards=shards,
        files=tuple(sorted(files, key=lambda file: file.path)),
        content_hash=content_hash(shards),
        history=(*old.history, change),
    )
    write_manifest(out, manifest)
    write_report(out)
    return manifest


def _write_shard(source: Dataset, judged: Judged, out: Path, name: str) -> Shard:
    tar, index = out / "shards" / f"{name}.tar", out / "index" / f"{name}.parquet"
    if not index.exists():
        write_kept(source, judged, out, name)
    return Shard(
        tar=record_file(out, tar), index=record_file(out, index), num_pairs=pq.read_metadata(index).num_rows
    )


def _link_rejections(source: Dataset, out: Path) -> list[FileRecord]:
    """Take over the rejections of the source; return their records."""
    records: list[FileRecord] = []
    for file in source.manifest.files:
        if file.path.startswith("rejections/"):
            path = out / "rejections" / f"{len(records):05d}.parquet"
            link_or_copy(source.root / file.path, path)
            records.append(replace(file, path=path.relative_to(out).as_posix()))
    return records


def _rejected(rows: pa.Table, stage: str, reason: str, details: list[str]) -> pa.Table:
    """Return index rows as rejections."""
    given = {"stage": pa.repeat(stage, len(rows)), "reason": pa.repeat(reason, len(rows))}
    given["detail"] = pa.array(details, pa.string())
    shared = ("url", "caption", "source")
    columns = [
        given[field.name]
        if field.name in given
        else rows[field.name].combine_chunks()
        if field.name in shared
        else pa.nulls(len(rows), field.type)
        for field in REJECTION_SCHEMA
    ]
    return pa.table(columns, schema=REJECTION_SCHEMA)
