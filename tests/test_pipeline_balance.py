"""The cap per search term against the slow obvious version."""

import random
from collections import defaultdict
from typing import Any

import pyarrow as pa

from filters.sampling import pair_id
from pipeline.balance import Caps, demand, hits
from pipeline.records import PAIR_SCHEMA


def make_pairs(num_pairs: int, num_queries: int) -> pa.Table:
    rng = random.Random(0)
    rows = []
    for number in range(num_pairs):
        terms = sorted({min(int(rng.paretovariate(0.7)) - 1, num_queries - 1) for _ in range(3)})
        url = f"http://a.test/{number}"
        rows.append(
            {"pair_id": pair_id(url, ""), "url": url, "caption": "", "source": "table", "query_ids": terms}
        )
    return pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)


def slow_accepted(rows: list[dict[str, Any]], max_pairs: int) -> set[str]:
    by_query = defaultdict(list)
    for row in rows:
        for query_id in row["query_ids"]:
            by_query[query_id].append(row["pair_id"])
    return {pair for pairs in by_query.values() for pair in sorted(pairs)[:max_pairs]}


def caps_of(pairs: pa.Table, max_pairs: int) -> Caps:
    capped = demand(hits(pairs), max_pairs).drop_null().to_pylist()
    return Caps({row["query_id"]: row["threshold"] for row in capped}, max_pairs)


def test_the_cap_keeps_what_sorting_every_term_would_keep() -> None:
    pairs = make_pairs(3_000, 200)
    for max_pairs in (1, 7, 100, 3_000):
        kept, rejections = caps_of(pairs, max_pairs).accept(pairs, "cap")
        assert set(kept["pair_id"].to_pylist()) == slow_accepted(pairs.to_pylist(), max_pairs)
        assert len(kept) + len(rejections) == len(pairs)


def test_a_term_at_its_cap_loses_nothing_and_one_above_loses_one() -> None:
    pairs = make_pairs(50, 1)
    at, above = caps_of(pairs, 50), caps_of(pairs, 49)
    assert len(at.accept(pairs, "cap")[1]) == 0
    assert [str(r.reason) for r in above.accept(pairs, "cap")[1]] == ["over_cap"]


def test_demand_counts_the_pairs_of_each_term() -> None:
    pairs = make_pairs(500, 20)
    counts = {row["query_id"]: row["num_pairs"] for row in demand(hits(pairs), 10).to_pylist()}
    lists = pairs["query_ids"].to_pylist()
    assert counts == {q: sum(q in ids for ids in lists) for q in range(20) if any(q in ids for ids in lists)}
