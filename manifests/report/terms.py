"""How the search terms of a dataset fared: what the report lists and shows as a cloud."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.store import Dataset
from manifests.versions import read_queries

NUM_QUERIES_SHOWN = 12
NUM_IN_CLOUD = 70

Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryFigures:
    """How the search terms fared; the lists hold rows of QUERY_SCHEMA."""

    num_unmatched: int  # no caption held the term
    num_lost: int  # captions held it, and no pair of them was kept
    most_matched: list[Row]
    demanded: list[Row]  # the same, and more of them
    below_cap: list[Row]  # those that kept most of the terms that are not full; none where none is full
    lost: list[Row]
    saturated: list[Row]  # at the cap, with captions to spare
    texts: dict[int, str]  # of the queries that the report's pairs show


def collect_queries(
    dataset: Dataset, shown_ids: Iterable[int], max_pairs_per_query: int | None
) -> QueryFigures:
    """Return the most matched, the lost and the saturated search terms (none where there was no cap)."""
    table = read_queries(dataset.root)
    matched, kept = table["num_matched"], table["num_kept"]
    lost = table.filter(pc.and_(pc.greater(matched, 0), pc.equal(kept, 0)))
    full = rest = table.slice(0, 0)
    if max_pairs_per_query is not None:
        full = table.filter(pc.and_(pc.greater_equal(kept, max_pairs_per_query), pc.less(kept, matched)))
        if pc.any(pc.greater_equal(kept, max_pairs_per_query)).as_py():
            rest = table.filter(pc.less(kept, max_pairs_per_query))
    shown = table.filter(pc.is_in(table["query_id"], value_set=pa.array(sorted(set(shown_ids)), pa.int32())))
    return QueryFigures(
        num_unmatched=pc.sum(pc.equal(matched, 0)).as_py() or 0,
        num_lost=lost.num_rows,
        most_matched=most(table, "num_matched"),
        demanded=most(table, "num_matched", NUM_IN_CLOUD),
        below_cap=most(rest, "num_kept", NUM_IN_CLOUD),
        lost=most(lost, "num_matched"),
        saturated=most(full, "num_matched"),
        texts=dict(zip(shown["query_id"].to_pylist(), shown["text"].to_pylist(), strict=True)),
    )


def most(table: pa.Table, column: str, num_rows: int = NUM_QUERIES_SHOWN) -> list[Row]:
    """Return the rows of QUERY_SCHEMA with most in a column, none with nothing there."""
    order = [(column, "descending"), ("query_id", "ascending")]
    # Not select_k_unstable, which pyarrow 25 cannot do for an empty table.
    best: list[Row] = table.take(pc.sort_indices(table, order)[:num_rows]).to_pylist()
    return [row for row in best if row[column]]
