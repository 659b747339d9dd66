"""The figures of a dataset's report: counts and bounded samples, collected shard by shard. No HTML here."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.schema import Shard
from manifests.store import Dataset

Row = dict[str, Any]

MAX_HOSTS = 200_000  # names counted at a time, so that a crawl of the whole web fits in memory
NUM_KEPT_SHOWN = 24
NUM_QUERIES_SHOWN = 12
MAX_WORDS = 60  # the last bin of the caption histogram is open
DUPLICATES = ("exact_duplicate", "near_duplicate")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """A row of the index and the shard in whose tar its picture lies."""

    shard: Shard
    row: Row


@dataclass(slots=True, kw_only=True)
class PairFigures:
    """Counts over all pairs. Sizes and aspects are counted by half octaves: n stands for 2 ** (n / 2)."""

    hosts: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    score_twentieths: Counter[int] = field(default_factory=Counter)
    caption_words: Counter[int] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height) as fetched
    aspects: Counter[int] = field(default_factory=Counter)  # width / height
    kept_sample: list[ShownPair] = field(default_factory=list)  # lowest keys: keys are hashes, so it is fair
    survivors: dict[str, ShownPair] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFigures:
    """How the search terms fared; the lists hold rows of QUERY_SCHEMA."""

    num_unmatched: int  # no caption held the term
    num_lost: int  # captions held it, and no pair of them was kept
    most_matched: list[Row]
    lost: list[Row]
    saturated: list[Row]  # at the cap, with captions to spare
    texts: dict[int, str]  # of the queries that the report's pairs show


def collect_pairs(dataset: Dataset, survivor_keys: Iterable[str]) -> PairFigures:
    """Count every pair of the dataset; one shard's index is in memory at a time."""
    figures = PairFigures()
    wanted = pa.array(sorted(set(survivor_keys)), pa.string())
    for shard in dataset.manifest.shards:
        table = dataset.read_index(shard)
        _count(figures, table)
        for row in table.filter(pc.is_in(table["key"], value_set=wanted)).to_pylist():
            figures.survivors[row["key"]] = ShownPair(shard=shard, row=row)
        lowest = _first(table, NUM_KEPT_SHOWN, [("key", "ascending")])
        found = [ShownPair(shard=shard, row=row) for row in lowest.to_pylist()]
        figures.kept_sample = heapq.nsmallest(
            NUM_KEPT_SHOWN, figures.kept_sample + found, key=lambda pair: str(pair.row["key"])
        )
    return figures


def collect_queries(
    dataset: Dataset, shown_ids: Iterable[int], max_pairs_per_query: int | None
) -> QueryFigures:
    """Return the most matched, the lost and the saturated search terms (none where there was no cap)."""
    table = pq.read_table(dataset.root / "queries.parquet")
    matched, kept = table["num_matched"], table["num_kept"]
    lost = table.filter(pc.and_(pc.greater(matched, 0), pc.equal(kept, 0)))
    full = table.slice(0, 0)
    if max_pairs_per_query is not None:
        full = table.filter(pc.and_(pc.greater_equal(kept, max_pairs_per_query), pc.less(kept, matched)))
    shown = table.filter(pc.is_in(table["query_id"], value_set=pa.array(sorted(set(shown_ids)), pa.int32())))
    return QueryFigures(
        num_unmatched=pc.sum(pc.equal(matched, 0)).as_py() or 0,
        num_lost=lost.num_rows,
        most_matched=most_matched(table),
        lost=most_matched(lost),
        saturated=most_matched(full),
        texts=dict(zip(shown["query_id"].to_pylist(), shown["text"].to_pylist(), strict=True)),
    )


def read_samples(dataset: Dataset) -> dict[tuple[str, str], list[Row]]:
    """Return the sampled rejections by stage and reason, in the order of the funnel."""
    found: dict[tuple[str, str], list[Row]] = {
        (stage.stage, reason): [] for stage in dataset.manifest.funnel for reason in stage.dropped
    }
    for row in pq.read_table(dataset.root / "samples.parquet").to_pylist():
        found.setdefault((row["stage"], row["reason"]), []).append(row)
    return {place: rows for place, rows in found.items() if rows}


def group_duplicates(samples: dict[tuple[str, str], list[Row]]) -> dict[str, list[Row]]:
    """Return the sampled duplicates by the key of the pair kept in their stead, largest group first."""
    groups: dict[str, list[Row]] = {}
    for (_, reason), rows in samples.items():
        for row in rows:
            if reason in DUPLICATES and row["kept_key"]:
                groups.setdefault(row["kept_key"], []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))


def _count(figures: PairFigures, table: pa.Table) -> None:
    hosts = pc.struct_field(
        pc.extract_regex(table["url"], r"^[^:]+://(?:[^/@]*@)?(?P<host>[^/:?#]+)"), "host"
    )
    figures.hosts.update(_counts(hosts))
    if len(figures.hosts) > MAX_HOSTS:  # rare hosts are forgotten, so a count may fall short, never exceed
        figures.hosts = Counter(dict(figures.hosts.most_common(MAX_HOSTS // 2)))
    figures.sources.update(_counts(table["source"]))
    figures.licences.update(_counts(pc.fill_null(table["licence"], "not stated")))
    figures.languages.update(_counts(pc.fill_null(table["language"], "unknown")))
    figures.score_twentieths.update(_counts(_floor(pc.multiply(table["language_score"], 20.0), most=19)))
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(table["caption"])))
    figures.caption_words.update(_counts(pc.min_element_wise(words, MAX_WORDS)))
    wide, high = pc.log2(table["original_width"]), pc.log2(table["original_height"])
    sides = zip(_half_octaves(wide).to_pylist(), _half_octaves(high).to_pylist(), strict=True)
    figures.sizes.update(Counter(sides))
    figures.aspects.update(_counts(_half_octaves(pc.subtract(wide, high), offset=0.5)))


def _first(table: pa.Table, num_rows: int, order: list[tuple[str, str]]) -> pa.Table:
    # Not select_k_unstable, which pyarrow 25 cannot do for an empty table.
    return table.take(pc.sort_indices(table, order)[:num_rows])


def _half_octaves(log2: pa.ChunkedArray, offset: float = 0.0) -> pa.ChunkedArray:
    return _floor(pc.add(pc.multiply(log2, 2.0), offset))


def _floor(values: pa.ChunkedArray, most: int | None = None) -> pa.ChunkedArray:
    whole = pc.cast(pc.floor(values), pa.int32())
    return whole if most is None else pc.min_element_wise(whole, most, skip_nulls=False)


def _counts(values: pa.ChunkedArray) -> dict[Any, int]:
    found = pc.value_counts(pc.drop_null(values))
    return {item["values"]: item["counts"] for item in found.to_pylist()}


def most_matched(table: pa.Table) -> list[Row]:
    """Return the first rows of QUERY_SCHEMA by the pairs that hold the term, none without any."""
    order = [("num_matched", "descending"), ("query_id", "ascending")]
    best: list[Row] = _first(table, NUM_QUERIES_SHOWN, order).to_pylist()
    return [row for row in best if row["num_matched"]]
