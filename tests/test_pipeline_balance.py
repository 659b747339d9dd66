"""The cap per search term against the slow obvious version: exact and soft, weighted, in rounds, at scale."""

import random
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from filters.sampling import pair_id
from pipeline import balance
from pipeline.balance import CountPerQuery, find_caps, read_caps, read_counts
from pipeline.parts import Part, write_part
from pipeline.pool import EVERY, CapRule, Caps, Pool, both_caps, with_chances
from pipeline.records import PAIR_SCHEMA
from pipeline.runners import run

Row = dict[str, Any]


def make_pairs(num_pairs: int, num_queries: int) -> pa.Table:
    rng = random.Random(0)
    rows = []
    for number in range(num_pairs):
        terms = sorted({min(int(rng.paretovariate(0.7)) - 1, num_queries - 1) for _ in range(3)})
        url = f"http://a.test/{number}"
        source = "commons" if number % 4 else "table"
        rows.append(
            {"pair_id": pair_id(url, ""), "url": url, "caption": "", "source": source, "query_ids": terms}
        )
    return pa.Table.from_pylist(rows, schema=PAIR_SCHEMA)


def slow_accepted(rows: list[Row], max_pairs: int, survival: Mapping[str, int] | None = None) -> set[str]:
    """Per term: its pairs in the order of their ids, until those that will survive are enough."""
    by_query = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["pair_id"])):
        for query_id in row["query_ids"]:
            by_query[query_id].append(row)
    accepted = set()
    for found in by_query.values():
        expected = 0
        for row in found:
            if expected >= max_pairs * 1_000_000:
                break
            expected += (survival or {}).get(row["source"], 1_000_000)
            accepted.add(row["pair_id"])
    return accepted


def caps_of(pairs: pa.Table, max_pairs: int, num_queries: int, out: Path, pool: Pool | None = None) -> Caps:
    """Find the caps of pairs that lie in three parts."""
    pool = pool or Pool()
    for number in range(3):
        write_part(out / "parts", f"{number}", pairs.take(list(range(number, len(pairs), 3))), [])
    parts = [Part(out / "parts", f"{number}") for number in range(3)]
    find_caps(parts, pool, np.full(num_queries, max_pairs), out, lambda transform: run(transform, 1))
    return read_caps(out, pool, max_pairs)


@pytest.mark.parametrize("max_pairs", [1, 7, 100, 2_000])
def test_the_cap_keeps_what_sorting_every_term_would_keep(max_pairs: int, tmp_path: Path) -> None:
    pairs = make_pairs(2_000, 200)
    kept, rejections = caps_of(pairs, max_pairs, 200, tmp_path).accept(pairs, "cap")
    assert set(kept["pair_id"].to_pylist()) == slow_accepted(pairs.to_pylist(), max_pairs)
    assert len(kept) + len(rejections) == len(pairs)


def test_bounds_that_are_too_low_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(balance, "SPREAD", 0.05)
    pairs = make_pairs(2_000, 200)
    kept, _ = caps_of(pairs, 20, 200, tmp_path).accept(pairs, "cap")
    assert (tmp_path / "ranked-1").is_dir()
    assert set(kept["pair_id"].to_pylist()) == slow_accepted(pairs.to_pylist(), 20)


def test_sources_that_lose_more_are_over_sampled_more(tmp_path: Path) -> None:
    pairs, pool = make_pairs(2_000, 200), Pool(survival={"commons": 800_000, "table": 300_000})
    kept, _ = caps_of(pairs, 20, 200, tmp_path, pool).accept(pairs, "cap")
    assert set(kept["pair_id"].to_pylist()) == slow_accepted(pairs.to_pylist(), 20, pool.survival)


def test_no_term_exceeds_its_cap_by_what_it_accepted_itself(tmp_path: Path) -> None:
    pairs = make_pairs(2_000, 200)
    caps = caps_of(pairs, 10, 200, tmp_path)
    hits = caps.pool.hits(pairs)
    own = hits.where(hits.priorities < caps.limits[hits.query_ids])
    assert np.bincount(own.query_ids).max() == 10
    kept = caps.pool.hits(caps.accept(pairs, "cap")[0])
    assert np.bincount(kept.query_ids).max() > 10  # what other terms of the pairs accepted


def test_a_term_at_its_cap_loses_nothing_and_one_above_loses_one(tmp_path: Path) -> None:
    pairs = make_pairs(50, 1)
    at, above = caps_of(pairs, 50, 1, tmp_path / "at"), caps_of(pairs, 49, 1, tmp_path / "above")
    assert len(at.accept(pairs, "cap")[1]) == 0
    assert above.accept(pairs, "cap")[1]["reason"].to_pylist() == ["over_cap"]


def test_a_further_cap_chooses_among_what_the_first_left_out(tmp_path: Path) -> None:
    pairs = make_pairs(1_000, 50)
    first = caps_of(pairs, 5, 50, tmp_path / "1")
    kept, _ = first.accept(pairs, "cap")
    second = caps_of(pairs, 5, 50, tmp_path / "2", Pool(earlier=(first,)))
    more, _ = second.accept(pairs, "cap")
    left = [row for row in pairs.to_pylist() if row["pair_id"] not in set(kept["pair_id"].to_pylist())]
    assert set(more["pair_id"].to_pylist()) == slow_accepted(left, 5)


def test_counts_are_those_of_each_term_and_source(tmp_path: Path) -> None:
    pairs = make_pairs(500, 20)
    write_part(tmp_path, "all", pairs, [])
    run(CountPerQuery([Part(tmp_path, "all")], Pool(), 20, tmp_path / "counts"), 1)
    counts, expected = read_counts(tmp_path / "counts", 20, {"table": 250_000})
    rows = pairs.to_pylist()
    assert counts.tolist() == [sum(q in row["query_ids"] for row in rows) for q in range(20)]
    worth = {"table": 250_000, "commons": 1_000_000}
    assert expected.tolist() == [
        sum(worth[r["source"]] for r in rows if q in r["query_ids"]) for q in range(20)
    ]


def test_the_soft_cap_keeps_each_pair_with_the_probability_that_metaclip_gives_it(tmp_path: Path) -> None:
    pairs = make_pairs(20_000, 30)
    counts = np.bincount(Pool().hits(pairs).query_ids, minlength=30)
    share = np.minimum(1, 200 / np.maximum(counts, 1))
    chances = np.array([1 - np.prod(1 - share[ids]) for ids in pairs["query_ids"].to_pylist()])
    caps = caps_of(pairs, 200, 30, tmp_path, Pool(rule="soft", draw=1))
    kept = caps.accepts(pairs)
    sigma = np.sqrt((chances * (1 - chances)).sum())
    assert abs(kept.sum() - chances.sum()) < 4 * sigma
    assert kept[chances == 1].all()
    other = Caps(caps.limits, Pool(rule="soft", draw=2), 200).accepts(pairs)
    assert abs((kept & other).sum() - (chances**2).sum()) < 4 * sigma  # another draw is independent


def with_new_hashes(pairs: pa.Table, number: int) -> pa.Table:
    place = pairs.schema.get_field_index("pair_id")
    ids = [pair_id(str(number), old) for old in pairs["pair_id"].to_pylist()]
    return pairs.set_column(place, pairs.schema.field(place), pa.array(ids))


@pytest.mark.parametrize("rule", ["exact", "soft"])
def test_pairs_get_through_two_caps_as_often_as_their_probability_says(rule: CapRule) -> None:
    pairs = make_pairs(40, 12)
    rng = np.random.default_rng(0)
    limits = [(rng.random(12) ** 2 * EVERY).astype(np.int64) for _ in range(3)]
    first = Caps(limits[0], Pool(rule, 1), 1)
    second = Caps(limits[1], Pool(rule, 2, earlier=(first,)), 1)  # a further round takes what the first left
    final = Caps(limits[2], Pool(rule, 0), 1)
    chances = both_caps(pa.chunked_array([second.chances(pairs)]), final.chances(pairs), rule)
    times, num_draws = np.zeros(len(pairs)), 3_000
    for number in range(num_draws):
        drawn = with_new_hashes(pairs, number)
        taken = first.accepts(drawn) | second.accepts(drawn)
        times += taken & final.accepts(drawn)
    sigma = np.sqrt(chances * (1 - chances) / num_draws)
    assert (np.abs(times / num_draws - chances) <= 4.5 * sigma + 1e-9).all()
    assert 0 < chances.min() < chances.max() <= 1


def test_the_pairs_of_a_term_stand_for_all_that_it_had(tmp_path: Path) -> None:
    pairs = with_chances(make_pairs(6_000, 8), np.ones(6_000))
    for rule in ("exact", "soft"):
        caps = caps_of(pairs, 400, 8, tmp_path / rule, Pool(rule))
        kept, _ = caps.accept(pairs, "cap")
        weights = 1 / kept["keep_probability"].to_numpy()
        assert weights.sum() == pytest.approx(6_000, rel=0.1)
        assert len(kept) < 3_000


def test_an_unknown_probability_stays_unknown() -> None:
    pairs = make_pairs(5, 3)
    kept, _ = Caps(np.full(3, EVERY), Pool(), 1).accept(pairs, "cap")
    assert kept["keep_probability"].to_pylist() == [None] * 5
    kept, _ = Caps(np.full(3, EVERY), Pool(), 1).accept(with_chances(pairs, np.full(5, 0.25)), "cap")
    assert kept["keep_probability"].to_pylist() == [0.25] * 5


def test_a_million_rows_are_capped_as_the_slow_version_caps_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    num_pairs, num_queries, max_pairs = 400_000, 5_000, 300
    terms = np.minimum(rng.zipf(1.2, size=(num_pairs, 3)) - 1, num_queries - 1).astype(np.int32)
    lists = [sorted(set(row)) for row in terms.tolist()]
    assert sum(map(len, lists)) > 1_000_000
    ids = [f"{high:016x}{0:016x}" for high in rng.integers(0, 2**64, num_pairs, dtype=np.uint64).tolist()]
    columns = {
        "pair_id": ids,
        "source": ["table"] * num_pairs,
        "query_ids": pa.array(lists, pa.list_(pa.int32())),
    }
    pairs = pa.table(columns)
    accepted = caps_of(pairs, max_pairs, num_queries, tmp_path).accepts(pairs)
    by_query = defaultdict(list)
    for row, (name, found) in enumerate(zip(ids, lists, strict=True)):
        for query_id in found:
            by_query[query_id].append((name, row))
    expected = {row for found in by_query.values() for _, row in sorted(found)[:max_pairs]}
    assert set(np.flatnonzero(accepted).tolist()) == expected
