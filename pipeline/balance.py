"""CLIP's balance over all parts of a phase: count the pairs of each term, find its limit, apply it.

Exact: a term accepts its N pairs of lowest hash (WebImageText: 20,000). Only terms with more pairs than that
are ranked, and of those only the hits below a bound under which a little more than N are expected, since
priorities are hashes; where fewer are found, the bound is raised for that term. So what is shuffled and
sorted grows with the number of terms and N, not with the number of pairs. Soft (MetaCLIP): a term accepts
each of its pairs with probability N / max(count, N), which follows from the counts alone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa

from manifests.storage import Anywhere, read_table
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, num_buckets_for, split, unpack
from pipeline.parts import Part, parts_in
from pipeline.pool import COLUMNS, EVERY, MILLION, Caps, Pool, dictionary_of

HIT_SCHEMA = pa.schema([("query_id", pa.int32()), ("priority", pa.int64()), ("weight", pa.int64())])
COUNT_SCHEMA = pa.schema([("query_id", pa.int32()), ("source", pa.string()), ("num_pairs", pa.int64())])
LIMIT_SCHEMA = pa.schema([("query_id", pa.int32()), ("limit", pa.int64())])
# One row for each term: its pairs in the pool, how many it may accept, and the limit that follows.
CAPS_SCHEMA = pa.schema(
    [("query_id", pa.int32()), ("num_pairs", pa.int64()), ("max_pairs", pa.int64()), ("limit", pa.int64())]
)
UNKNOWN = -1
# So many standard deviations more hits than needed are ranked at first.
SPREAD = 8.0

Run = Callable[[beam.PTransform], None]


class CountPerQuery(beam.PTransform):
    """Parts of pairs -> parts of COUNT_SCHEMA in `out`: the pool's pairs of each term and source."""

    def __init__(self, parts: list[Part], pool: Pool, num_queries: int, out: Path) -> None:
        super().__init__()
        self.parts, self.pool, self.out = parts, pool, out
        self.num_buckets = num_buckets_for(num_queries)

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return (
            begin
            | "each part of pairs" >> beam.Create(self.parts)
            | "count" >> beam.FlatMap(_count, pool=self.pool, num_buckets=self.num_buckets)
            | "by term" >> GroupBlocks()
            | "add up" >> beam.Map(_write_counts, out=self.out)
        )


class RankHits(beam.PTransform):
    """Parts of pairs -> parts of LIMIT_SCHEMA in `out`, of the terms that have a bound.

    `bounds` and `max_pairs` are int64, one for each term; a hit is ranked when its priority is below its
    term's bound. A limit is UNKNOWN where too few were.
    """

    def __init__(
        self, parts: list[Part], pool: Pool, bounds: np.ndarray, max_pairs: np.ndarray, out: Path
    ) -> None:
        super().__init__()
        self.parts, self.pool, self.bounds, self.max_pairs, self.out = parts, pool, bounds, max_pairs, out

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        num_buckets = num_buckets_for(int(self.max_pairs[self.bounds > 0].sum()))
        return (
            begin
            | "each part of pairs" >> beam.Create(self.parts)
            | "below bounds" >> beam.FlatMap(_low_hits, self.pool, self.bounds, num_buckets=num_buckets)
            | "by term" >> GroupBlocks()
            | "rank" >> beam.Map(_write_limits, max_pairs=self.max_pairs, out=self.out)
        )


def find_caps(parts: list[Part], pool: Pool, max_pairs: np.ndarray, out: Path, run: Run) -> None:
    """Write CAPS_SCHEMA to `out`: what each term accepts, when it may take `max_pairs` (int64, one for each
    term) of a pool, after losses."""
    run(CountPerQuery(parts, pool, len(max_pairs), out / "counts"))
    counts, expected = read_counts(out / "counts", len(max_pairs), pool.survival)
    limits = first_limits(expected, max_pairs, pool)
    attempt, spread = 0, SPREAD
    while (unknown := limits == UNKNOWN).any():
        bounds = np.where(unknown, bounds_of(expected, max_pairs, spread), 0)
        ranked = out / f"ranked-{attempt}"
        run(RankHits(parts, pool, bounds, max_pairs, ranked))
        for part in parts_in(ranked):
            rows = part.rows()
            limits[rows["query_id"].to_numpy()] = rows["limit"].to_numpy()
        attempt, spread = attempt + 1, 4 * spread
    columns = [np.arange(len(limits), dtype=np.int32), counts, max_pairs, limits]
    write_table(out / "caps.parquet", pa.table(columns, schema=CAPS_SCHEMA))


def read_caps(folder: Path, pool: Pool, max_pairs: int) -> Caps:
    """Read what `find_caps` wrote."""
    limits = read_table(folder / "caps.parquet", columns=["limit"])["limit"].to_numpy()
    return Caps(limits, pool, max_pairs)


def read_counts(folder: Path, num_queries: int, survival: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (number of terms,) twice: pairs, and those expected to survive, in millionths."""
    counts, expected = np.zeros((2, num_queries), dtype=np.int64)
    for part in parts_in(folder):
        rows = part.rows()
        names, sources = dictionary_of(rows["source"])
        worth = np.array([survival.get(name, MILLION) for name in names], dtype=np.int64)
        num_pairs, query_ids = rows["num_pairs"].to_numpy(), rows["query_id"].to_numpy()
        np.add.at(counts, query_ids, num_pairs)
        np.add.at(expected, query_ids, num_pairs * worth[sources])
    return counts, expected


def first_limits(expected: np.ndarray, max_pairs: np.ndarray, pool: Pool) -> np.ndarray:
    """Return limits that follow from counts alone: a term within its cap accepts all, a soft one a share."""
    over = expected > max_pairs * MILLION
    if pool.rule == "exact":
        return np.where(over & (max_pairs > 0), UNKNOWN, np.where(over, 0, EVERY))
    share = max_pairs * MILLION / np.maximum(expected, 1)
    return np.where(over, (np.minimum(share, 0.999999) * 2.0**63).astype(np.int64), EVERY)


def bounds_of(expected: np.ndarray, max_pairs: np.ndarray, spread: float) -> np.ndarray:
    """Return the priority below which each term is expected to find its pairs and `spread` sigmas more."""
    wanted = max_pairs + spread * (1 + np.sqrt(max_pairs))
    share = wanted * MILLION / np.maximum(expected, 1)
    return np.where(share < 0.99, (np.minimum(share, 0.99) * 2.0**63).astype(np.int64), EVERY)


def limits_of(hits: pa.Table, max_pairs: np.ndarray) -> pa.Table:
    """Return the LIMIT_SCHEMA rows of all hits below the bounds of some terms (HIT_SCHEMA).

    A term accepts hits, lowest priority first, until those expected to survive reach its `max_pairs`.
    """
    query_ids, priorities = hits["query_id"].to_numpy(), hits["priority"].to_numpy()
    order = np.lexsort((priorities, query_ids))
    query_ids, priorities = query_ids[order], priorities[order]
    expected = np.cumsum(hits["weight"].to_numpy()[order])
    ids, starts, counts = np.unique(query_ids, return_index=True, return_counts=True)
    before = np.where(starts > 0, expected[starts - 1], 0)
    short = expected - np.repeat(before, counts) < np.repeat(max_pairs[ids] * MILLION, counts)
    num_short = np.add.reduceat(short, starts, dtype=np.int64)
    last = starts + np.minimum(num_short, counts - 1)
    return pa.table([ids, np.where(num_short < counts, priorities[last] + 1, UNKNOWN)], schema=LIMIT_SCHEMA)


def _count(part: Part, pool: Pool, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    table = pool.pairs(part.rows(COLUMNS))
    names, sources = dictionary_of(table["source"])
    hits = pool.hits(table)
    # One number for each (term, source): counted at the speed of a sort.
    keys = hits.query_ids.astype(np.int64) * len(names) + sources[hits.rows]
    keys, counts = np.unique(keys, return_counts=True)
    query_ids, of = np.divmod(keys, max(1, len(names)))
    columns = [query_ids.astype(np.int32), pa.array(names, pa.string()).take(pa.array(of)), counts]
    yield from split(pa.table(columns, schema=COUNT_SCHEMA), query_ids % num_buckets)


def _write_counts(group: tuple[int, Iterable[bytes]], out: Anywhere) -> str:
    bucket, blocks = group
    name = f"{bucket:05d}"
    grouped = unpack(blocks, sort_by="query_id").group_by(["query_id", "source"])
    rows = grouped.aggregate([("num_pairs", "sum")]).rename_columns(COUNT_SCHEMA.names)
    write_table(out / f"{name}.parquet", rows.sort_by([("query_id", "ascending"), ("source", "ascending")]))
    return name


def _low_hits(part: Part, pool: Pool, bounds: np.ndarray, num_buckets: int) -> Iterator[tuple[int, bytes]]:
    table = pool.pairs(part.rows(COLUMNS))
    hits = pool.hits(table)
    hits = hits.where(hits.priorities < bounds[hits.query_ids])
    columns = [hits.query_ids, hits.priorities, pool.weights(table)[hits.rows]]
    yield from split(pa.table(columns, schema=HIT_SCHEMA), hits.query_ids % num_buckets)


def _write_limits(group: tuple[int, Iterable[bytes]], max_pairs: np.ndarray, out: Anywhere) -> str:
    bucket, blocks = group
    name = f"{bucket:05d}"
    write_table(out / f"{name}.parquet", limits_of(unpack(blocks, sort_by="priority"), max_pairs))
    return name
