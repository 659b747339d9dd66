"""Rounds of fetching on the sample web: starved terms are topped up, exactly, and a cut leaves no trace."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, Cap
from pipeline.sample_web.server import Served
from tests.small_world import contents, options

MAX_PAIRS = 4


@pytest.fixture(scope="module")
def config(small_config: BuildConfig) -> BuildConfig:
    """No over-sampling, so that the first round leaves terms starved."""
    cap = Cap(max_pairs_per_query=MAX_PAIRS, survival=1.0)
    return replace(small_config, cap=cap, rounds=3)


@pytest.fixture(scope="module")
def dataset(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "dataset"
    build(config, options(root, served))
    return root


def num_starved(root: Path) -> int:
    """Terms below their cap of which the cap had left out pairs."""
    rows = pq.read_table(root / "queries.parquet").to_pylist()
    return sum(row["num_kept"] < MAX_PAIRS and row["num_tried"] < row["num_matched"] for row in rows)


def test_further_rounds_fill_terms_that_the_first_left_starved(
    config: BuildConfig, served: Served, dataset: Path, tmp_path: Path
) -> None:
    build(replace(config, rounds=1), options(tmp_path / "dataset", served))
    assert num_starved(tmp_path / "dataset") > num_starved(dataset) == 0
    assert open_dataset(dataset).manifest.num_pairs > open_dataset(tmp_path / "dataset").manifest.num_pairs


def test_a_dataset_of_several_rounds_verifies_and_asks_for_no_picture_twice(dataset: Path) -> None:
    assert list(verify(dataset)) == []
    units = [path for path in (dataset / "work").glob("selected*/*-*.parquet") if "cap-" not in path.name]
    ids = [pair for path in units for pair in pq.read_table(path)["pair_id"].to_pylist()]
    assert any("selected-2" in str(path) for path in units)
    assert len(ids) == len(set(ids))


def test_a_build_cut_before_its_second_round_ends_with_the_same_bytes(
    config: BuildConfig, served: Served, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise RuntimeError("cut")

    other = tmp_path / "dataset"
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.rounds.read_counts", cut)
        with pytest.raises(RuntimeError, match="cut"):
            build(config, options(other, served))
    build(config, options(other, served))
    assert contents(other) == contents(dataset)


def test_coverage_adds_up_to_what_the_terms_have(dataset: Path) -> None:
    terms = pq.read_table(dataset / "queries.parquet").to_pylist()
    coverage = pq.read_table(dataset / "coverage.parquet").to_pylist()
    for name in ("num_matched", "num_tried", "num_kept"):
        assert sum(row[name] for row in coverage) == sum(row[name] for row in terms) > 0
    assert {row["source"] for row in coverage} == {"commons", "table"}
    assert all(row["num_kept"] <= row["num_tried"] <= row["num_matched"] for row in terms)


def test_counts_of_kept_pairs_are_those_of_the_index(dataset: Path) -> None:
    opened = open_dataset(dataset)
    lists = [
        ids for shard in opened.manifest.shards for ids in opened.read_index(shard)["query_ids"].to_pylist()
    ]
    terms = pq.read_table(dataset / "queries.parquet").to_pylist()
    assert [row["num_kept"] for row in terms] == [
        sum(row["query_id"] in ids for ids in lists) for row in terms
    ]


def test_pairs_with_the_same_terms_have_the_same_probability_whichever_round_took_them(dataset: Path) -> None:
    opened = open_dataset(dataset)
    rows = [row for shard in opened.manifest.shards for row in opened.read_index(shard).to_pylist()]
    terms = pq.read_table(dataset / "queries.parquet").to_pylist()
    chances: dict[tuple[int, ...], set[float]] = {}
    for row in rows:
        chances.setdefault(tuple(row["query_ids"]), set()).add(row["keep_probability"])
        rare = any(terms[query_id]["num_matched"] <= MAX_PAIRS for query_id in row["query_ids"])
        assert (row["keep_probability"] == 1) >= rare
    assert all(len(found) == 1 for found in chances.values())
    assert 0 < min(row["keep_probability"] for row in rows) < 1


def test_the_soft_cap_keeps_rare_terms_whole_and_records_the_chance(
    config: BuildConfig, served: Served, tmp_path: Path
) -> None:
    soft = replace(config, cap=replace(config.cap, rule="soft"), rounds=1)
    build(soft, options(tmp_path / "dataset", served))
    for row in pq.read_table(tmp_path / "dataset" / "queries.parquet").to_pylist():
        rare = row["num_matched"] <= MAX_PAIRS
        assert (row["keep_probability"] == 1) >= rare
        assert not rare or row["num_tried"] == row["num_matched"]
    assert list(verify(tmp_path / "dataset")) == []
