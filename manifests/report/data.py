"""The figures of a dataset's report: counts and bounded samples, collected shard by shard. No HTML here."""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.report.colours import ColourFigures
from manifests.report.sampling import Sample, read_shown
from manifests.schema import Shard
from manifests.store import Dataset

Row = dict[str, Any]

MAX_HOSTS = 200_000  # names counted at a time, so that a crawl of the whole web fits in memory
NUM_MEASURED = 240  # pictures that are decoded
NUM_COPIED_SHOWN = 12
MAX_WORDS = 60  # the last bin of the caption histogram is open


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownPair:
    """A row of the index and the shard in whose tar its picture lies."""

    shard: Shard
    row: Row

    def picture(self, dataset: Dataset) -> bytes:
        """Return the encoded picture; nothing where there is no tar, as in a copy of the tables alone."""
        try:
            return dataset.read_picture(self.shard, self.row)
        except FileNotFoundError:
            return b""


@dataclass(slots=True, kw_only=True)
class PairFigures:
    """Counts over the pairs read. Sizes and aspects are by half octaves: n stands for 2 ** (n / 2)."""

    sample: Sample
    hosts: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    caption_origins: Counter[str] = field(default_factory=Counter)
    score_twentieths: Counter[int] = field(default_factory=Counter)
    caption_words: Counter[int] = field(default_factory=Counter)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)  # (width, height) as fetched
    aspects: Counter[int] = field(default_factory=Counter)  # width / height
    copies: Counter[int] = field(default_factory=Counter)  # pairs by the copies that they stand for
    colours: ColourFigures = field(default_factory=ColourFigures)
    scores: dict[str, list[pa.Array]] = field(default_factory=dict)  # float32, a chunk of each shard
    lowest: list[ShownPair] = field(default_factory=list)  # lowest keys: keys are hashes, so it is fair
    most_copied: list[ShownPair] = field(default_factory=list)
    survivors: dict[str, ShownPair] = field(default_factory=dict)


def collect_pairs(dataset: Dataset, sample: Sample, survivor_keys: Iterable[str] = ()) -> PairFigures:
    """Count the pairs of the sampled shards; one shard's index is in memory at a time."""
    figures = PairFigures(sample=sample)
    wanted = pa.array(sorted(set(survivor_keys)), pa.string())
    for shard in sample.shards:
        table = read_shown(dataset, shard)
        _count(figures, table)
        _show(figures, table, shard)
        for pair in _pairs(shard, table.filter(pc.is_in(table["key"], value_set=wanted))):
            figures.survivors[pair.row["key"]] = pair
    return figures


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
    figures.caption_origins.update(_counts(table["caption_origin"]))
    figures.score_twentieths.update(_counts(_floor(pc.multiply(table["language_score"], 20.0), most=19)))
    words = pc.list_value_length(pc.utf8_split_whitespace(pc.utf8_trim_whitespace(table["caption"])))
    figures.caption_words.update(_counts(pc.min_element_wise(words, MAX_WORDS)))
    wide, high = pc.log2(table["original_width"]), pc.log2(table["original_height"])
    sides = zip(_half_octaves(wide).to_pylist(), _half_octaves(high).to_pylist(), strict=True)
    figures.sizes.update(Counter(sides))
    figures.aspects.update(_counts(_half_octaves(pc.subtract(wide, high), offset=0.5)))
    figures.copies.update(_counts(table["num_duplicates"]))
    figures.colours.add_cells(pc.drop_null(table["colours"]).to_pylist())
    for column in table["scores"].chunks:
        for name in pc.unique(column.keys).to_pylist():
            values = column.items.filter(pc.equal(column.keys, name))
            finite = values.filter(pc.is_finite(values))  # which nulls are not, either
            figures.scores.setdefault(name, []).append(finite)


def _show(figures: PairFigures, table: pa.Table, shard: Shard) -> None:
    """Keep the pairs with the lowest keys, and those that stand for most copies."""
    lowest = _pairs(shard, _first(table, NUM_MEASURED, [("key", "ascending")]))
    figures.lowest = heapq.nsmallest(
        NUM_MEASURED, figures.lowest + lowest, key=lambda pair: str(pair.row["key"])
    )
    order = [("num_duplicates", "descending"), ("key", "ascending")]
    copied = _first(table.filter(pc.greater(table["num_duplicates"], 0)), NUM_COPIED_SHOWN, order)
    figures.most_copied = heapq.nsmallest(
        NUM_COPIED_SHOWN,
        figures.most_copied + _pairs(shard, copied),
        key=lambda pair: (-pair.row["num_duplicates"], pair.row["key"]),
    )


def _pairs(shard: Shard, table: pa.Table) -> list[ShownPair]:
    return [ShownPair(shard=shard, row=row) for row in table.to_pylist()]


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
