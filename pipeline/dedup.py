"""Near-duplicates: of pictures whose hashes differ in few bits, only the best is kept.

Better means more original pixels, then more original bytes, then the smaller pair_id: one order over all
pairs, written as a string, the rank. A pair is dropped when any better pair lies within the distance, so the
result depends on nothing but the set of pairs. Pictures that lie in shards already (an IndexPart's, without a
unit) are better than all others: what is published stays.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.colours import agree
from filters.near import Row, near_values, rows_for
from manifests.storage import Anywhere, read_table
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, mix64, num_buckets_for, split, unpack
from pipeline.config import Dedup
from pipeline.parts import Part, sum_of

# The columns that decide; `rank` sorts pairs from best to worst.
PRINT_SCHEMA = pa.schema(
    {
        "rank": pa.string(),
        "unit": pa.string(),
        "key": pa.string(),
        "sha256": pa.string(),
        "phash": pa.uint64(),
        "colours": pa.string(),  # null in datasets and lists of earlier versions
        "caption": pa.string(),  # null but where captions of copies are kept
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
        "caption": pa.string(),  # of the worse
    }
)
PRINT_COLUMNS = [
    "pair_id",
    "unit",
    "key",
    "sha256",
    "phash",
    "colours",
    "original_width",
    "original_height",
    "original_bytes",
]
_OF_A_COPY = ("rank", "unit", "key", "colours", "caption")
HASHES_PER_GROUP = 1_000_000
LEN_SIZE = 26  # of a rank: digits of pixels and bytes; the pair_id follows


class FindCopies(beam.PTransform):
    """Parts of pictures -> parts of COPY_SCHEMA in `out`: every pair of a picture and a better copy of it."""

    def __init__(self, parts: list[Part], config: Dedup, out: Path) -> None:
        super().__init__()
        self.parts, self.max_distance, self.out = parts, config.max_distance, out
        self.max_difference = config.max_colour_difference
        self.columns = [*PRINT_COLUMNS, "caption"] if config.keep_captions else PRINT_COLUMNS

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_rows = sum_of(self.parts)
        num_buckets = num_buckets_for(num_rows)
        grouped = (
            begin
            | "each part of pictures" >> beam.Create(self.parts)
            | "hashes" >> beam.FlatMap(_hash_blocks, columns=self.columns, num_buckets=num_buckets)
            | "by hash" >> GroupBlocks()
        )
        if self.max_distance is None:
            return grouped | "equal bytes" >> beam.Map(
                equal_prints, same="sha256", max_difference=None, out=self.out
            )
        search = NearSearch.of(num_rows, self.max_distance)
        return (
            grouped
            | "equal hashes"
            >> beam.Map(equal_prints, same="phash", max_difference=self.max_difference, out=self.out)
            | "arranged in rows" >> beam.FlatMap(search.arranged)
            | "by part of a hash" >> GroupBlocks()
            | "near hashes" >> beam.FlatMap(search.near, num_buckets=num_buckets)
            | "by first hash" >> GroupBlocks()
            | "first pictures" >> beam.FlatMap(first_pictures, out=self.out, num_buckets=num_buckets)
            | "by second hash" >> GroupBlocks()
            | "second pictures" >> beam.Map(second_pictures, max_difference=self.max_difference, out=self.out)
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
        hashes = np.unique(pictures["phash"].to_numpy())
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
    """Return the PRINT_SCHEMA rows of pictures (PRINT_COLUMNS, and `caption` where it is wanted)."""
    rows = pictures.to_pylist()
    for row in rows:
        pixels = row["original_width"] * row["original_height"]
        size = (
            f"{2**48 - pixels:013x}{2**48 - (row['original_bytes'] or 0):013x}"
            if row["unit"]
            else "0" * LEN_SIZE
        )
        row["rank"] = f"{size}{row['pair_id']}"
    return pa.Table.from_pylist(rows, schema=PRINT_SCHEMA)


def _hash_blocks(part: Part, columns: list[str], num_buckets: int) -> Iterator[tuple[int, bytes]]:
    table = prints(part.rows(columns))
    yield from split(table, bucket_of(table["phash"].to_numpy(), num_buckets))


def equal_prints(
    group: tuple[int, Iterable[bytes]], same: str, max_difference: int | None, out: Anywhere
) -> pa.Table:
    """Write the copies among pictures of equal hash or bytes; return the best picture of each, and where
    their colours differ, the best of each colouring."""
    bucket, blocks = group
    table = unpack(blocks, sort_by="rank")
    codes = table[same].combine_chunks().dictionary_encode().indices.to_numpy()
    alone = pa.array(np.bincount(codes)[codes] == 1)  # as nearly all are: they are not looked at one by one
    several = table.filter(pc.invert(alone))
    best: dict[object, list[dict[str, Any]]] = {}
    exact: dict[object, dict[str, Any]] = {}
    copies, kept = [], []
    for number, row in enumerate(several.to_pylist()):
        distinct = best.setdefault(row[same], [])
        better = exact.get(row["sha256"]) or _first_alike(row, distinct, max_difference)
        if better is None:
            distinct.append(row)
            kept.append(number)
        else:
            copies.append(_copy(row, better, 0, row["sha256"] in exact))
        exact.setdefault(row["sha256"], better or row)
    write_table(out / f"equal-{bucket:05d}.parquet", pa.Table.from_pylist(copies, schema=COPY_SCHEMA))
    chosen = several.take(pa.array(kept, pa.int64()))
    table = pa.concat_tables([table.filter(alone), chosen])
    table = table.sort_by([("phash", "ascending"), ("rank", "ascending")])
    write_table(_distinct(out, bucket), table)
    return table


def _first_alike(
    row: dict[str, Any], better: list[dict[str, Any]], max_difference: int | None
) -> dict[str, Any] | None:
    """Return the best of better pictures, no two of them copies of each other, that this one is a copy of."""
    if not better or max_difference is None:
        return better[0] if better else None
    alike = agree([row["colours"]] * len(better), [other["colours"] for other in better], max_difference)
    return better[int(alike.argmax())] if alike.any() else None


def first_pictures(
    group: tuple[int, Iterable[bytes]], out: Anywhere, num_buckets: int
) -> Iterator[tuple[int, bytes]]:
    """Put its picture to the first hash of each pair; yield the pairs by the bucket of the second."""
    pairs = _with_pictures(group, out, "first")
    yield from split(pairs, bucket_of(pairs["second"].to_numpy(), num_buckets))


def second_pictures(group: tuple[int, Iterable[bytes]], max_difference: int | None, out: Anywhere) -> str:
    """Put its picture to the second hash of each pair, and write which is a copy of which."""
    copies = []
    pairs = _with_pictures(group, out, "second")
    if max_difference is not None and len(pairs):
        first, second = (pairs[f"{side}_colours"].to_pylist() for side in ("first", "second"))
        pairs = pairs.filter(pa.array(agree(first, second, max_difference)))
    for pair in pairs.to_pylist():
        sides = [{name: pair[f"{side}_{name}"] for name in _OF_A_COPY} for side in ("first", "second")]
        better, worse = sorted(sides, key=lambda side: str(side["rank"]))
        distance = (pair["first"] ^ pair["second"]).bit_count()
        copies.append(_copy(worse, better, distance, False))
    copies.sort(key=lambda copy: (str(copy["worse"]), str(copy["better"])))
    name = f"near-{group[0]:05d}"
    write_table(out / f"{name}.parquet", pa.Table.from_pylist(copies, schema=COPY_SCHEMA))
    return name


def _with_pictures(group: tuple[int, Iterable[bytes]], out: Path, side: str) -> pa.Table:
    """Return the pairs with the columns of the pictures of that hash: a row for each of several."""
    bucket, blocks = group
    pairs = unpack(blocks, sort_by=side)
    pictures = read_table(_distinct(out, bucket), columns=["phash", *_OF_A_COPY])
    hashes, asked = pictures["phash"].to_numpy(), pairs[side].to_numpy()
    first = np.searchsorted(hashes, asked, "left")
    counts = np.searchsorted(hashes, asked, "right") - first
    of_pair = np.repeat(np.arange(len(pairs)), counts)
    rows = np.arange(len(of_pair)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    pairs = pairs.take(pa.array(of_pair))
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
        "caption": worse["caption"],
    }
