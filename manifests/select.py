"""Some of a dataset's pairs as a new dataset: its tars, indexes and counts; the old one is untouched.

One shard is in memory at a time, and each is there whole or not at all: a run that was cut short goes on with
those that are missing. Shards of which everything is kept are linked. The manifest is written last.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.copying import END, Rows, copy_pairs, spans_of
from manifests.counts import Tally, write_counts
from manifests.do_not_fetch import LIST_NAME, RECEIPTS
from manifests.hashing import written_hashed
from manifests.publishing import following, write_sizes
from manifests.report import write_report
from manifests.schema import (
    REJECTION_SCHEMA,
    SAMPLE_SCHEMA,
    SAMPLES_PER_REASON,
    Change,
    FileRecord,
    Manifest,
    Shard,
    StageCount,
)
from manifests.storage import link_or_copy, name_of, num_rows, read_table
from manifests.store import Dataset, clear_cut_short, record_file, write_manifest, write_table
from manifests.versions import as_current

# Tables beside the index, one for each shard, a row for each pair.
BESIDE_INDEX = ("fetch_times",)
_OF_DROPPED = ["url", "caption", "source", "query_ids"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The pairs of a shard after a look at all of them."""

    shard: Shard
    details: Sequence[str | None]  # for each why it is dropped, as "nsfw 0.7 > 0.5"; None keeps it
    rows: pa.Table | None = None  # INDEX_SCHEMA, with what was learned of them; None where nothing was

    @property
    def kept(self) -> Rows:
        """The rows that are kept."""
        return np.flatnonzero([detail is None for detail in self.details])


def write_selection(
    source: Dataset, judged: Iterable[Judged], out: Path, stage: str, reason: str, change: Change
) -> Manifest:
    """Write the pairs that are kept as a dataset at `out`, and its manifest, which says at which stage of the
    funnel the others were dropped, why, and by what change. Shards are numbered anew, none is empty.

    `judged` has every shard of `source`, in order, and gives the same in every run. `change` counts what was
    tried; what was kept is filled in.
    """
    clear_cut_short(out)
    lost, shards, files = Tally(), list[Shard](), link_takedowns(source, out)
    rejections = link_rejections(source, out)
    beside = {file.path: file for file in source.manifest.files}
    num_dropped, samples = 0, [read_table(source.root / "samples.parquet")]
    for each in judged:
        if len(each.kept):
            shard, others = write_shard(source, each, out, f"{len(shards):05d}", beside)
            shards.append(shard)
            files += others
        if len(each.kept) < len(each.details):
            table = _dropped(source, each, stage, reason, lost)
            num_dropped += len(table)
            path = out / "rejections" / f"{len(rejections):05d}.parquet"
            write_table(path, table)
            rejections.append(record_file(out, path))
            # Keys are hashes, so that the first rows are a fair sample. None is shown as a picture.
            room = max(0, SAMPLES_PER_REASON - sum(map(len, samples[1:])))
            if room:  # a copy: a slice would hold on to the whole table
                samples.append(table.take(pa.array(range(min(room, len(table))))))
    assert change.num_tried == source.manifest.num_pairs, (change, source.manifest.num_pairs)
    write_counts(source, lost.counter(), out)
    joined = pa.concat_tables(samples, promote_options="default")
    write_table(out / "samples.parquet", as_current(joined, SAMPLE_SCHEMA))
    tables = [record_file(out, out / f"{name}.parquet") for name in ("coverage", "queries", "samples")]
    num_in, reasons = source.manifest.num_pairs, {reason: num_dropped} if num_dropped else {}
    last = StageCount(stage=stage, num_in=num_in, num_out=num_in - num_dropped, dropped=reasons)
    manifest = following(
        replace(source.manifest, name=name_of(out)),
        shards=shards,
        files=(*rejections, *files, *tables, write_sizes(shards, out)),
        funnel=(*source.manifest.funnel, last),
        change=replace(change, num_gained=num_in - num_dropped, dropped=reasons),
    )
    write_manifest(out, manifest)
    write_report(out)
    return manifest


def link_rejections(source: Dataset, out: Path, first: int = 0) -> list[FileRecord]:
    """Take over the rejections of a dataset, numbered from `first`; return their records."""
    old = [file for file in source.manifest.files if file.path.startswith("rejections/")]
    records = [
        replace(file, path=f"rejections/{first + number:05d}.parquet") for number, file in enumerate(old)
    ]
    for file, record in zip(old, records, strict=True):
        link_or_copy(source.root / file.path, out / record.path)
    return records


def link_takedowns(source: Dataset, out: Path) -> list[FileRecord]:
    """Take over what says that pairs were taken down, and keeps them out; return the records."""
    names = (LIST_NAME, f"{RECEIPTS}/")
    files = [file for file in source.manifest.files if file.path.startswith(names)]
    for file in files:
        link_or_copy(source.root / file.path, out / file.path)
    return files


def as_rejections(rows: pa.Table, stage: str, reason: str, details: Sequence[str]) -> pa.Table:
    """Return index rows as rejections."""
    given = {"stage": pa.repeat(stage, len(rows)), "reason": pa.repeat(reason, len(rows))}
    given["detail"] = pa.array(details, pa.string())
    columns = [
        given[field.name]
        if field.name in given
        else rows[field.name].combine_chunks()
        if field.name in ("url", "caption", "source")
        else pa.nulls(len(rows), field.type)
        for field in REJECTION_SCHEMA
    ]
    return pa.table(columns, schema=REJECTION_SCHEMA)


def _dropped(source: Dataset, judged: Judged, stage: str, reason: str, lost: Tally) -> pa.Table:
    """Return what a shard loses, as rejections; count its terms."""
    rows = source.read_index(judged.shard, _OF_DROPPED) if judged.rows is None else judged.rows
    rows = rows.filter(pa.array([detail is not None for detail in judged.details]))
    lost.add(rows)
    return as_rejections(rows, stage, reason, [detail for detail in judged.details if detail is not None])


def write_shard(
    source: Dataset, judged: Judged, out: Path, name: str, beside: dict[str, FileRecord]
) -> tuple[Shard, list[FileRecord]]:
    """Write what is kept of a shard, its index last, which says that it is whole; return the records."""
    new, all_kept = renamed(judged.shard, name), len(judged.kept) == len(judged.details)
    others = [beside[path] for path in beside_index(judged.shard) if path in beside]
    there = (out / new.index.path).exists()
    for other in () if there else others:
        _take_over(source.root / other.path, out / _as(other.path, name), judged)
    if all_kept and judged.rows is None:
        if not there:
            link_or_copy(source.tar_path(judged.shard), out / new.tar.path)
            link_or_copy(source.root / judged.shard.index.path, out / new.index.path)
        return new, [replace(other, path=_as(other.path, name)) for other in others]
    if not there:
        _write_kept(source, judged, out, new)
    tar = new.tar if all_kept else record_file(out, out / new.tar.path)
    index = record_file(out, out / new.index.path)
    num_pairs = num_rows(out / new.index.path)
    assert num_pairs == len(judged.kept), (new.index.path, num_pairs, len(judged.kept))
    records = [record_file(out, out / _as(other.path, name)) for other in others]
    return replace(new, tar=tar, index=index, num_pairs=num_pairs), records


def renamed(shard: Shard, name: str) -> Shard:
    """Return the record of a shard's files under another name."""
    return replace(
        shard,
        tar=replace(shard.tar, path=f"shards/{name}.tar"),
        index=replace(shard.index, path=f"index/{name}.parquet"),
    )


def beside_index(shard: Shard) -> list[str]:
    """Return where tables beside a shard's index would lie, which it may have or not."""
    return [f"{folder}/{Path(shard.index.path).name}" for folder in BESIDE_INDEX]


def _as(path: str, name: str) -> str:
    return f"{Path(path).parent.as_posix()}/{name}.parquet"


def _take_over(path: Path, to: Path, judged: Judged) -> None:
    """Give the new shard what a table beside the index says of the pairs that are kept."""
    if len(judged.kept) == len(judged.details):
        link_or_copy(path, to)
    else:
        write_table(to, read_table(path).take(judged.kept))


def _write_kept(source: Dataset, judged: Judged, out: Path, new: Shard) -> None:
    path, to = source.tar_path(judged.shard), out / new.tar.path
    rows = source.read_index(judged.shard) if judged.rows is None else judged.rows
    if len(judged.kept) == len(rows):
        link_or_copy(path, to)
    else:
        with path.open("rb") as old, written_hashed(to) as tar:
            offsets = copy_pairs(old, spans_of(path, rows), judged.kept, tar)
            tar.write(END)
        rows = with_offsets(rows.take(judged.kept), offsets)
    write_table(out / new.index.path, rows)


def with_offsets(rows: pa.Table, offsets: Rows) -> pa.Table:
    """Return index rows whose pictures lie elsewhere."""
    place = rows.schema.get_field_index("offset")
    return rows.set_column(place, rows.schema.field(place), pa.array(offsets, pa.int64()))
