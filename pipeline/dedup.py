"""Near-duplicates: of pictures whose hashes differ in few bits, only the best is kept.

Better means more original pixels, then more original bytes, then the smaller pair_id: one order over all
pairs, written as a string, the rank. A pair is dropped when any better pair lies within the distance, so the
result depends on nothing but the set of pairs. Pictures that lie in shards already (an IndexPart's, without a
unit) are better than all others: what is published stays.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from filters.hashes import block_keys, pairs_within
from filters.reasons import Reason
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, mix64, num_buckets_for, split, unpack
from pipeline.parts import Part, parts_in, sum_of

# The columns that decide; `rank` sorts pairs from best to worst.
PRINT_SCHEMA = pa.schema(
    {
        "rank": pa.string(),
        "unit": pa.string(),
        "key": pa.string(),
        "sha256": pa.string(),
        "phash": pa.uint64(),
    }
)
# `worse` is a copy of `better`, `distance` bits away; both are ranks.
COPY_SCHEMA = pa.schema(
    {
        "worse": pa.string(),
        "worse_unit": pa.string(),
        "better": pa.string(),
        "better_unit": pa.string(),
        "better_key": pa.string(),
        "distance": pa.int32(),
        "exact": pa.bool_(),
    }
)
# What a unit needs to know of its pairs: the dropped ones, and how many each kept one stands for.
VERDICT_SCHEMA = pa.schema(
    {
        "unit": pa.string(),
        "pair_id": pa.string(),
        "reason": pa.string(),
        "detail": pa.string(),
        "kept_key": pa.string(),
        "num_duplicates": pa.int32(),
    }
)
PRINT_COLUMNS = [
    "pair_id",
    "unit",
    "key",
    "sha256",
    "phash",
    "original_width",
    "original_height",
    "original_bytes",
]


class FindCopies(beam.PTransform):
    """Parts of pictures -> parts of COPY_SCHEMA in `out`: every pair of a picture and a better copy of it."""

    def __init__(self, parts: list[Part], max_distance: int | None, out: Path) -> None:
        super().__init__()
        self.parts, self.max_distance, self.out = parts, max_distance, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_buckets = num_buckets_for(sum_of(self.parts))
        grouped = (
            begin
            | "each part of pictures" >> beam.Create(self.parts)
            | "hashes" >> beam.FlatMap(_hash_blocks, num_buckets=num_buckets)
            | "by hash" >> GroupBlocks()
        )
        if self.max_distance is None:
            return grouped | "equal bytes" >> beam.Map(equal_prints, same="sha256", out=self.out)
        return (
            grouped
            | "equal hashes" >> beam.Map(equal_prints, same="phash", out=self.out)
            | "parts of hashes"
            >> beam.FlatMap(keyed, max_distance=self.max_distance, num_buckets=num_buckets)
            | "by parts of hashes" >> GroupBlocks()
            | "near hashes" >> beam.Map(near_hashes, max_distance=self.max_distance, out=self.out)
        )


def prints(pictures: pa.Table) -> pa.Table:
    """Return the PRINT_SCHEMA rows of pictures (PRINT_COLUMNS)."""
    rows = pictures.to_pylist()
    for row in rows:
        pixels = row["original_width"] * row["original_height"]
        size = f"{2**48 - pixels:013x}{2**48 - row['original_bytes']:013x}" if row["unit"] else "0" * 26
        row["rank"] = f"{size}{row['pair_id']}"
    return pa.Table.from_pylist(rows, schema=PRINT_SCHEMA)


def _hash_blocks(part: Part, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    table = prints(part.rows(PRINT_COLUMNS))
    yield from split(table, (mix64(table["phash"].to_numpy()) % np.uint64(num_buckets)).astype(np.int64))


def equal_prints(group: tuple[int, Iterable[bytes]], same: str, out: Path) -> pa.Table:
    """Write the copies among pictures of equal hash or bytes; return the best picture of each."""
    bucket, blocks = group
    best: dict[object, dict[str, object]] = {}
    seen: set[object] = set()
    copies = []
    for row in unpack(blocks, sort_by="rank").to_pylist():
        first = best.setdefault(row[same], row)
        if first is not row:
            copies.append(_copy(row, first, 0, row["sha256"] in seen))
        seen.add(row["sha256"])
    write_table(out / f"equal-{bucket:05d}.parquet", pa.Table.from_pylist(copies, schema=COPY_SCHEMA))
    return pa.Table.from_pylist(list(best.values()), schema=PRINT_SCHEMA)


def keyed(pictures: pa.Table, max_distance: int, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    """Yield blocks of pictures, each once per block key: near hashes share at least one."""
    for keys in block_keys(pictures["phash"].to_numpy(), max_distance):
        table = pictures.append_column("block_key", pa.array(keys))
        yield from split(table, (mix64(keys) % np.uint64(num_buckets)).astype(np.int64))


def near_hashes(group: tuple[int, Iterable[bytes]], max_distance: int, out: Path) -> str:
    """Write the copies among the pictures whose hashes share a block key."""
    bucket, blocks = group
    table = unpack(blocks, sort_by="rank")
    found = pairs_within(table["phash"].to_numpy(), table["block_key"].to_numpy(), max_distance)
    found = np.unique(
        np.sort(found, axis=1), axis=0
    )  # rows are sorted: the smaller index is the better picture
    copies = []
    if len(found):
        better, worse = (table.take(pa.array(found[:, side])).to_pylist() for side in (0, 1))
        for good, bad in zip(better, worse, strict=True):
            copies.append(_copy(bad, good, (good["phash"] ^ bad["phash"]).bit_count(), False))
    name = f"near-{bucket:05d}"
    write_table(out / f"{name}.parquet", pa.Table.from_pylist(copies, schema=COPY_SCHEMA))
    return name


def _copy(
    worse: dict[str, object], better: dict[str, object], distance: int, exact: bool
) -> dict[str, object]:
    return {
        "worse": worse["rank"],
        "worse_unit": worse["unit"],
        "better": better["rank"],
        "better_unit": better["unit"],
        "better_key": better["key"],
        "distance": distance,
        "exact": exact,
    }


def judge_copies(copies: Path, verdicts: Path) -> None:
    """Follow each copy to the picture that is kept in its stead, and write one verdict table per unit.

    Every dropped picture points at its best better copy; those pointers end at a picture without one.
    """
    rows = pa.concat_tables(
        [COPY_SCHEMA.empty_table(), *(part.rows() for part in parts_in(copies))]
    ).to_pylist()
    # An exact copy is named as such, whatever else it is near to.
    rows.sort(key=lambda row: (row["worse"], not row["exact"], row["better"]))
    chosen: dict[str, dict[str, object]] = {}
    for row in rows:
        chosen.setdefault(row["worse"], row)
    by_unit: dict[str, list[dict[str, object]]] = {}
    stands_for: dict[tuple[str, str], int] = {}
    for row in chosen.values():
        root = row
        while str(root["better"]) in chosen:
            root = chosen[str(root["better"])]
        reason = Reason.EXACT_DUPLICATE if row["exact"] else Reason.NEAR_DUPLICATE
        detail = "the same bytes" if row["exact"] else f"{row['distance']} of 64 bits differ"
        by_unit.setdefault(str(row["worse_unit"]), []).append(
            {
                **{"unit": row["worse_unit"], "pair_id": str(row["worse"])[-32:], "reason": str(reason)},
                **{"detail": detail, "kept_key": root["better_key"], "num_duplicates": 0},
            }
        )
        survivor = (str(root["better_unit"]), str(root["better"])[-32:])
        stands_for[survivor] = stands_for.get(survivor, 0) + 1
    for (unit, pair), count in stands_for.items():
        by_unit.setdefault(unit, []).append({"unit": unit, "pair_id": pair, "num_duplicates": count})
    by_unit.pop("", None)  # pictures in shards are not written again, to count what they stand for
    for unit, verdict in by_unit.items():
        write_table(verdicts / f"{unit}.parquet", pa.Table.from_pylist(verdict, schema=VERDICT_SCHEMA))
