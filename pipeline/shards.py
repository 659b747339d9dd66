"""Kept pictures to shards: one global order by key, exact shard sizes, the same bytes on every run.

A key is a hash, so the order is a shuffle: each shard is a fair sample. Rows are ordered once, by ranges of
keys; a shard then reads its rows from there and its pictures from where they were staged.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO, Any

import apache_beam as beam
import msgspec
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from filters.images import sniff_format
from filters.reasons import Drop, Reason
from manifests import fetch_times
from manifests.hashing import HashedFile, write_table_hashed, written_hashed
from manifests.schema import FETCH_TIME_SCHEMA, INDEX_SCHEMA, Shard
from manifests.storage import Anywhere, read_table, remove_file
from manifests.store import write_bytes, write_table
from pipeline.blocks import GroupBlocks, bucket_of_hex, num_buckets_for, split, unpack
from pipeline.parts import REJECTIONS, Part, numbers_of_rows, sum_of, write_part
from pipeline.pool import Caps, with_chances
from pipeline.records import KEPT_SCHEMA, reject
from pipeline.staged import staged_here
from pipeline.tar import BLOCK, end_tar, header, member

DEDUP, FINAL_CAP = "dedup", "final_cap"
MAX_OPEN_TARS = 128

Row = dict[str, Any]


class KeepBest(beam.PTransform):
    """Parts of pictures -> parts in `out` without those that the verdicts call copies."""

    def __init__(self, parts: list[Part], verdicts: Path, out: Path) -> None:
        super().__init__()
        self.parts, self.verdicts, self.out = parts, verdicts, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        keep = beam.Map(keep_best, verdicts=self.verdicts, out=self.out)
        return begin | "each part of pictures" >> beam.Create(self.parts) | "keep the best" >> keep


def keep_best(part: Part, verdicts: Anywhere, out: Anywhere) -> str:
    """Write the pictures of one fetched unit that are nobody's copy, and the rejections of the copies."""
    rows = part.rows().to_pylist()
    verdict_of = _verdicts_on(rows[0]["unit"], verdicts) if rows else {}
    kept, rejections = [], []
    for row in rows:
        verdict = verdict_of.get(row["pair_id"])
        if verdict and verdict["kept_key"]:
            drop = Drop(Reason(verdict["reason"]), verdict["detail"])
            told = {name: verdict[name] for name in ("kept_key", "distance")}
            rejections.append(reject(DEDUP, drop, row, **told))
        else:
            kept.append(row | _stands_for(row["caption"], verdict))
    write_part(out, part.name, pa.Table.from_pylist(kept, schema=KEPT_SCHEMA), rejections)
    return part.name


def _verdicts_on(unit: str, verdicts: Path) -> dict[str, Row]:
    path = verdicts / f"{unit}.parquet"
    return {row["pair_id"]: row for row in read_table(path).to_pylist()} if path.exists() else {}


def _stands_for(caption: str, verdict: Row | None) -> Row:
    others = sorted({other for other in (verdict or {}).get("captions") or () if other and other != caption})
    return {"num_duplicates": verdict["num_duplicates"] if verdict else 0, "extra_captions": others or None}


class OrderByKey(beam.PTransform):
    """Parts of kept pictures -> parts in `out` that, one after the other, hold them in the order of keys."""

    def __init__(self, parts: list[Part], caps: Caps, out: Path, selection: Caps | None = None) -> None:
        """`selection`: the caps of all rounds, where there were several. A pair knows of those rounds alone
        that came before it was selected."""
        super().__init__()
        self.parts, self.caps, self.out, self.selection = parts, caps, out, selection

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_buckets = num_buckets_for(sum_of(self.parts))
        return (
            begin
            | "each part of kept pictures" >> beam.Create(self.parts)
            | "final cap" >> beam.FlatMap(_capped, self.caps, self.selection, self.out, num_buckets)
            | "by range of keys" >> GroupBlocks()
            | "in order" >> beam.Map(_write_ordered, out=self.out)
        )


def _capped(
    part: Part, caps: Caps, selection: Caps | None, out: Anywhere, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    pairs = part.rows()
    if selection:
        pairs = with_chances(pairs, selection.chances(pairs))
    table, rejections = caps.accept(pairs, FINAL_CAP)
    write_table(out / f"cap-{part.name}{REJECTIONS}", rejections)
    yield from split(table, bucket_of_hex(table["key"], num_buckets))


def _write_ordered(group: tuple[int, Iterable[bytes]], out: Anywhere) -> str:
    bucket, blocks = group
    name = f"{bucket:05d}"
    write_part(out, name, unpack(blocks, sort_by="key"), [])
    return name


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The rows of one shard: ranges of ordered parts, each (part, start, stop)."""

    name: str
    ranges: tuple[tuple[Part, int, int], ...]


def plan_shards(parts: list[Part], pairs_per_shard: int, first: int = 0) -> list[ShardPlan]:
    """Cut ordered parts into shards of exactly `pairs_per_shard`, but for the last, numbered from `first`."""
    plans: list[ShardPlan] = []
    ranges: list[tuple[Part, int, int]] = []
    room = pairs_per_shard
    for part, num_rows in zip(parts, numbers_of_rows(parts), strict=True):
        start = 0
        while start < num_rows:
            stop = min(num_rows, start + room)
            ranges.append((part, start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                plans.append(ShardPlan(f"{first + len(plans):05d}", tuple(ranges)))
                ranges, room = [], pairs_per_shard
    if ranges:
        plans.append(ShardPlan(f"{first + len(plans):05d}", tuple(ranges)))
    return plans


class WriteShards(beam.PTransform):
    """Plans -> shards and indexes in the dataset, their records in `records`; the pictures come straight from
    where they are staged."""

    def __init__(self, plans: list[ShardPlan], staged: Path, dataset: Path, records: Path) -> None:
        super().__init__()
        self.plans, self.places = plans, {"staged": staged, "dataset": dataset, "records": records}

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        write = beam.Map(write_shard, **self.places)
        return begin | "each shard" >> beam.Create(self.plans) | "write" >> write


def write_shard(plan: ShardPlan, staged: Anywhere, dataset: Anywhere, records: Anywhere) -> str:
    """Write a shard's tar, its fetch times, then its index, which says that it is whole, and its record; skip
    a shard that is there."""
    tar, times, index = (
        f"shards/{plan.name}.tar",
        f"{fetch_times.FOLDER}/{plan.name}.parquet",
        f"index/{plan.name}.parquet",
    )
    if (dataset / index).exists():
        return plan.name
    remove_file(records / f"{plan.name}.json")
    rows = pa.concat_tables(part.rows().slice(start, stop - start) for part, start, stop in plan.ranges)
    with (
        staged_here(rows, staged) as (placed, folder),
        closing(_StagedTars(folder)) as staged_tars,
        written_hashed(dataset / tar) as file,
    ):
        offsets = _append_pairs(file, placed, staged_tars)
    write_table(dataset / times, rows.select(FETCH_TIME_SCHEMA.names))
    shard = Shard(
        tar=file.record(tar),
        index=write_table_hashed(dataset, index, _with_offsets(rows, offsets)),
        num_pairs=len(rows),
    )
    write_bytes(records / f"{plan.name}.json", msgspec.json.encode(shard))
    return plan.name


def _append_pairs(tar: HashedFile, rows: pa.Table, staged: "_StagedTars") -> list[int]:
    """Append each pair's picture, caption and facts to the shard; return where the pictures lie in it."""
    where = zip(*(rows[name].to_pylist() for name in ("unit", "offset", "num_bytes")), strict=True)
    names = zip(*(rows[name].to_pylist() for name in ("key", "caption")), strict=True)
    offsets, endings = [], _Endings()
    for (unit, offset, num_bytes), (key, caption), facts in zip(where, names, _facts(rows), strict=True):
        offsets.append(tar.tell() + BLOCK)
        size = BLOCK + num_bytes + -num_bytes % BLOCK
        # Mostly the picture is read to where it will be written and hashed from.
        room = tar.reserve(size)
        place = memoryview(bytearray(size)) if room is None else room
        stop = BLOCK + num_bytes
        if os.preadv(staged.open(unit).fileno(), [place[BLOCK:stop]], offset) != num_bytes:
            raise OSError(f"{unit}.tar ends before the {num_bytes} bytes at {offset}")
        place[:BLOCK] = header(f"{key}.{endings.of(place[BLOCK:stop])}", num_bytes)
        place[stop:] = bytes(size - stop)
        if room is None:
            tar.write(place)
        tar.write(member(f"{key}.txt", caption.encode()) + member(f"{key}.json", facts))
    end_tar(tar)
    return offsets


class _Endings:
    """What the names of pictures end with: nearly always all are of one format."""

    def __init__(self) -> None:
        self._begins, self._ending = b"", ""

    def of(self, picture: memoryview) -> str:
        if picture[:3] != self._begins:
            self._begins, self._ending = bytes(picture[:3]), ending_of(bytes(picture))
        return self._ending


def _facts(rows: pa.Table) -> Iterator[bytes]:
    """Yield what the index says of each pair, but for where its picture lies, as JSON."""
    names = [name for name in INDEX_SCHEMA.names if name not in ("offset", "num_bytes")]
    columns = [values_of(rows[name]) for name in names]
    for values in zip(*columns, strict=True):
        yield orjson.dumps(dict(zip(names, values, strict=True)))


def values_of(column: pa.ChunkedArray) -> list[Any]:
    """Return a column's values as Python's, lists of lists and dicts of maps among them.

    pyarrow converts lists one by one, and where it is asked for dicts, whatever it converts.
    """
    if not pa.types.is_list(column.type):
        dicts = {"maps_as_pydicts": "strict"} if pa.types.is_map(column.type) else {}
        plain: list[Any] = column.to_pylist(**dicts)
        return plain
    lengths = pc.list_value_length(column).to_pylist()
    values = pc.list_flatten(column).to_pylist()
    stops = accumulate(length or 0 for length in lengths)
    return [
        None if length is None else values[stop - length : stop]
        for length, stop in zip(lengths, stops, strict=True)
    ]


def _with_offsets(rows: pa.Table, offsets: list[int]) -> pa.Table:
    """Return the index of pairs whose pictures lie there."""
    place = INDEX_SCHEMA.get_field_index("offset")
    entries = rows.select(INDEX_SCHEMA.names).cast(INDEX_SCHEMA).combine_chunks()
    return entries.set_column(place, INDEX_SCHEMA.field(place), pa.array(offsets, pa.int64()))


class _StagedTars:
    """The staged tars that are open, at most MAX_OPEN_TARS; for a new one the longest unused is closed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, IO[bytes]] = {}

    def open(self, unit: str) -> IO[bytes]:
        tar = self._open.pop(unit, None) or (self._folder / f"{unit}.tar").open("rb", buffering=0)
        self._open[unit] = tar  # last in the dict is last used
        if len(self._open) > MAX_OPEN_TARS:
            self._open.pop(next(iter(self._open))).close()
        return tar

    def close(self) -> None:
        for tar in self._open.values():
            tar.close()


def ending_of(picture: bytes) -> str:
    """Return what the name of a stored picture ends with: it follows the bytes, as `encode.format` did."""
    return {"jpeg": "jpg", "png": "png", "webp": "webp"}[sniff_format(picture) or ""]
