"""What the origins offer to the list, each by its own figure, highest first; texts come one at a time."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.queries.bigrams import join_words
from pipeline.queries.choose import Entry, Ranked
from pipeline.queries.counts import POSSESSIVE
from pipeline.queries.titles import names_of
from pipeline.queries.words import words_by_hash


def offer_words(parts: Sequence[Path], min_count: int) -> Ranked:
    """Offer the words seen at least so often, most seen first."""
    enough = [("count", ">=", min_count)]
    tables = [pq.read_table(path, filters=enough, columns=["word", "count"]) for path in parts]
    table = pa.concat_tables(tables).rename_columns(["text", "count"])
    return _ranked("word", min_count, table.filter(pc.field("text") != POSSESSIVE), ["count"])


def offer_bigrams(parts: Sequence[Path], words: Sequence[Path], min_pmi: float) -> Ranked:
    """Offer the bigrams of merged parts in words, highest mutual information first."""
    table = pa.concat_tables([pq.read_table(path) for path in parts])
    first, second = table["first"].to_numpy(), table["second"].to_numpy()
    word = words_by_hash(words, np.concatenate([first, second]))
    both = zip(first.tolist(), second.tolist(), strict=True)
    texts = pa.array((join_words(word[one], word[two]) for one, two in both), type=pa.string())
    table = pa.table({"text": texts, "count": table["count"], "pmi": table["pmi"]})
    return _ranked("bigram", min_pmi, table, ["pmi", "count"])


def offer_titles(parts: Sequence[Path], min_views: int) -> Ranked:
    """Offer the names of articles, most viewed first."""
    table = pa.concat_tables([pq.read_table(path) for path in parts])
    table = pa.table({"text": names_of(table["title"]), "views": table["views"]})
    return _ranked("title", min_views, table, ["views"])


def _ranked(origin: str, threshold: float, table: pa.Table, figures: Sequence[str]) -> Ranked:
    table = table.sort_by([*((name, "descending") for name in figures), ("text", "ascending")])
    entries = (Entry(origin=origin, **row) for row in _rows(table))
    return Ranked(origin=origin, threshold=threshold, num_offered=len(table), entries=entries)


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()
