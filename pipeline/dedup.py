"""Near-duplicates: of pictures whose hashes differ in few bits, only the best is kept.

Better means more original pixels, then more original bytes, then the smaller pair_id: one order over all
pairs, written as a string, the rank. A pair is dropped when any better pair lies within the distance, so the
result depends on nothing but the set of pairs. Pictures that lie in shards already (an IndexPart's, without a
unit) are better than all others: what is published stays.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.near import Row, near_values, rows_for
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

_OF_A_COPY = ("rank", "unit", "key")
HASHES_PER_GROUP = 1_000_000


class FindCopies(beam.PTransform):
    """Parts of pictures -> parts of COPY_SCHEMA in `out`: every pair of a picture and a better copy of it."""

    def __init__(self, parts: list[Part], max_distance: int | None, out: Path) -> None:
        super().__init__()
        self.parts, self.max_distance, self.out = parts, max_distance, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_rows = sum_of(self.parts)
        num_buckets = num_buckets_for(num_rows)
        grouped = (
            begin
            | "each part of pictures" >> beam.Create(self.parts)
            | "hashes" >> beam.FlatMap(_hash_blocks, num_buckets=num_buckets)
            | "by hash" >> GroupBlocks()
        )
        if self.max_distance is None:
            return grouped | "equal bytes" >> beam.Map(equal_prints, same="sha256", out=self.out)
        search = NearSearch.of(num_rows, self.max_distance)
        return (
            grouped
            | "equal hashes" >> beam.Map(equal_prints, same="phash", out=self.out)
            | "arranged in rows" >> beam.FlatMap(search.arranged)
            | "by part of a hash" >> GroupBlocks()
            | "near hashes" >> beam.FlatMap(search.near, num_buckets=num_buckets)
            | "by first hash" >> GroupBlocks()
            | "first pictures" >> beam.FlatMap(first_pictures, out=self.out, num_buckets=num_buckets)
            | "by second hash" >> GroupBlocks()
            | "second pictures" >> beam.Map(second_pictures, out=self.out)
        )


@dataclass(frozen=True)
class NearSearch:
    """The search for near hashes among distinct ones, cut into groups of keys: eight bytes a hash and row."""

    rows: tuple[Row, ...]  # none: everything is compared with everything
    max_distance: int
    num_groups: int  # of each row

    @classmethod
    def of(cls, num_hashes: int, max_distance: int) -> "NearSearch":
        """Choose the rows for so many hashes."""
        return cls(rows_for(num_hashes, max_distance), max_distance, -(-num_hashes // HASHES_PER_GROUP))

    def arranged(self, pictures: pa.Table) -> Iterator[tuple[int, bytes]]:
        """Yield the hashes of pictures as they stand in each row, grouped by their keys."""
        hashes = pictures["phash"].to_numpy()
        if not self.rows:
            yield 0, hashes.tobytes()
        for number, row in enumerate(self.rows):
            moved = row.arrange(hashes)
            groups = (mix64(row.keys(moved)) % np.uint64(self.num_groups)).astype(np.int64)
            for group in np.unique(groups).tolist():
                yield number * self.num_groups + group, moved[groups == group].tobytes()

    def near(self, group: tuple[int, Iterable[bytes]], num_buckets: int) -> Iterator[tuple[int, bytes]]:
        """Yield the near pairs of a group, by the bucket of their first hash. No two groups find the same."""
        number, blocks = group
        hashes = np.sort(np.concatenate([np.frombuffer(block, dtype=np.uint64) for block in blocks]))
        if self.rows:
            row = self.rows[number // self.num_groups]
            found = row.restore(row.pairs(hashes, self.max_distance))
        else:
            found = near_values(hashes, self.max_distance)
        table = pa.table({"first": found[:, 0], "second": found[:, 1]})
        yield from split(table, bucket_of(found[:, 0], num_buckets))


def bucket_of(hashes: np.ndarray, num_buckets: int) -> np.ndarray:
    """Return int64 (N,): the bucket in which pictures of each hash lie."""
    return (mix64(hashes) % np.uint64(num_buckets)).astype(np.int64)


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
    yield from split(table, bucket_of(table["phash"].to_numpy(), num_buckets))


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
    distinct = pa.Table.from_pylist(list(best.values()), schema=PRINT_SCHEMA).sort_by("phash")
    write_table(_distinct(out, bucket), distinct)
    return distinct


def first_pictures(
    group: tuple[int, Iterable[bytes]], out: Path, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Put its picture to the first hash of each pair; yield the pairs by the bucket of the second."""
    pairs = _with_pictures(group, out, "first")
    yield from split(pairs, bucket_of(pairs["second"].to_numpy(), num_buckets))


def second_pictures(group: tuple[int, Iterable[bytes]], out: Path) -> str:
    """Put its picture to the second hash of each pair, and write which is a copy of which."""
    copies = []
    for pair in _with_pictures(group, out, "second").to_pylist():
        sides = [{name: pair[f"{side}_{name}"] for name in _OF_A_COPY} for side in ("first", "second")]
        better, worse = sorted(sides, key=lambda side: str(side["rank"]))
        distance = (pair["first"] ^ pair["second"]).bit_count()
        copies.append(_copy(worse, better, distance, False))
    copies.sort(key=lambda copy: (str(copy["worse"]), str(copy["better"])))
    name = f"near-{group[0]:05d}"
    write_table(out / f"{name}.parquet", pa.Table.from_pylist(copies, schema=COPY_SCHEMA))
    return name


def _with_pictures(group: tuple[int, Iterable[bytes]], out: Path, side: str) -> pa.Table:
    bucket, blocks = group
    pairs = unpack(blocks, sort_by=side)
    pictures = pq.read_table(_distinct(out, bucket), columns=["phash", *_OF_A_COPY])
    rows = np.searchsorted(pictures["phash"].to_numpy(), pairs[side].to_numpy())
    for name in _OF_A_COPY:
        pairs = pairs.append_column(f"{side}_{name}", pictures[name].take(pa.array(rows)))
    return pairs


def _distinct(out: Path, bucket: int) -> Path:
    return out / "distinct" / f"{bucket:05d}.parquet"


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
