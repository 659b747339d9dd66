"""CLIP's balance: a pair is kept when at least one of its search terms has it among its N first by hash.

Exact and deterministic: per term only the hash of its N-th pair is remembered, and only for terms that have
more than N (WebImageText: 20,000 pairs per term).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from filters.reasons import Drop, Reason
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, num_buckets_for, split, unpack
from pipeline.parts import Part, parts_in, sum_of
from pipeline.records import Rejection, reject

HIT_SCHEMA = pa.schema([("query_id", pa.int32()), ("priority", pa.uint64())])
# One row per term that occurs: its pairs, and the highest priority within its cap (null: all are).
DEMAND_SCHEMA = pa.schema([("query_id", pa.int32()), ("num_pairs", pa.int64()), ("threshold", pa.uint64())])


class CountPerQuery(beam.PTransform):
    """Parts of pairs -> parts of DEMAND_SCHEMA in `out`: the pairs and the cap of each term."""

    def __init__(self, parts: list[Part], max_pairs: int, out: Path) -> None:
        super().__init__()
        self.parts, self.max_pairs, self.out = parts, max_pairs, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_buckets = num_buckets_for(sum_of(self.parts))
        return (
            begin
            | "each part of pairs" >> beam.Create(self.parts)
            | "term and hash" >> beam.FlatMap(_hit_blocks, num_buckets=num_buckets)
            | "by term" >> GroupBlocks()
            | "count and cap" >> beam.Map(_write_demand, max_pairs=self.max_pairs, out=self.out)
        )


def priorities(pair_ids: pa.ChunkedArray) -> np.ndarray:
    """Return uint64 (N,): the first 64 bits of the ids, which are hashes themselves."""
    return np.array([int(value[:16], 16) for value in pair_ids.to_pylist()], dtype=np.uint64)


def hits(pairs: pa.Table) -> pa.Table:
    """Return a HIT_SCHEMA row for each (pair, term that it holds)."""
    lists = pairs["query_ids"].combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    repeated = np.repeat(priorities(pairs["pair_id"]), lengths)
    return pa.table([lists.flatten(), pa.array(repeated)], schema=HIT_SCHEMA)


def demand(found: pa.Table, max_pairs: int) -> pa.Table:
    """Return the DEMAND_SCHEMA rows of hits."""
    query_ids, priority = found["query_id"].to_numpy(), found["priority"].to_numpy()
    order = np.lexsort((priority, query_ids))
    query_ids, priority = query_ids[order], priority[order]
    ids, starts, counts = np.unique(query_ids, return_index=True, return_counts=True)
    capped = counts > max_pairs
    last = np.minimum(starts + max_pairs, len(priority)) - 1
    return pa.table([ids, counts, pa.array(priority[last], mask=~capped)], schema=DEMAND_SCHEMA)


def _hit_blocks(part: Part, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    found = hits(part.rows(["pair_id", "query_ids"]))
    yield from split(found, found["query_id"].to_numpy() % num_buckets)


def _write_demand(group: tuple[int, Iterable[bytes]], max_pairs: int, out: Path) -> str:
    bucket, blocks = group
    name = f"{bucket:05d}"
    write_table(out / f"{name}.parquet", demand(unpack(blocks, sort_by="priority"), max_pairs))
    return name


@dataclass(frozen=True)
class Caps:
    """The terms that have more pairs than their cap, with the highest priority that each keeps."""

    thresholds: dict[int, int]
    max_pairs: int

    @classmethod
    def read(cls, folder: Path, max_pairs: int) -> "Caps":
        """Read what CountPerQuery wrote."""
        thresholds: dict[int, int] = {}
        for part in parts_in(folder):
            capped = part.rows(["query_id", "threshold"]).drop_null()
            thresholds.update(
                zip(capped["query_id"].to_pylist(), capped["threshold"].to_pylist(), strict=True)
            )
        return cls(thresholds, max_pairs)

    def accept(self, pairs: pa.Table, stage: str) -> tuple[pa.Table, list[Rejection]]:
        """Return the pairs that at least one of their terms keeps, and the rejections of the others."""
        rows = pairs.select(["query_ids"]).to_pylist()
        kept = [
            any(priority <= self.thresholds.get(query_id, priority) for query_id in row["query_ids"])
            for row, priority in zip(rows, priorities(pairs["pair_id"]).tolist(), strict=True)
        ]
        mask = pa.array(kept, type=pa.bool_())
        drop = Drop(Reason.OVER_CAP, f"each of its search terms has its {self.max_pairs} pairs")
        dropped = pairs.filter(pa.compute.invert(mask)).to_pylist()
        return pairs.filter(mask), [reject(stage, drop, row) for row in dropped]
