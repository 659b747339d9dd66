"""The whole build of the sample web against its truth: the right pairs, each drop under its reason."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from filters.urls import canonical_url
from manifests.fetch_times import fetch_times_path, read_fetch_times
from manifests.schema import Manifest
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.recipes import demo
from pipeline.sample_web.serve import ENDPOINT, read_truth
from pipeline.sample_web.server import Served
from tests.small_world import contents, options, outcomes

TRIED_STAGES = ("fetch", "image")


def index_rows(root: Path) -> list[dict[str, Any]]:
    opened = open_dataset(root)
    return [row for shard in opened.manifest.shards for row in opened.read_index(shard).to_pylist()]


def rejected(root: Path) -> list[dict[str, Any]]:
    return [
        row for path in sorted((root / "rejections").glob("*")) for row in pq.read_table(path).to_pylist()
    ]


@pytest.fixture(scope="module")
def dataset(small_config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "dataset"
    build(small_config, options(root, served))
    return root


def test_every_candidate_of_the_sample_web_ends_as_its_truth_says(world: Path, dataset: Path) -> None:
    truth = {(row.url, row.caption): row.outcome for row in read_truth(world)}
    assert outcomes(dataset) == truth
    assert len(truth) > 150


def test_the_dataset_verifies_and_its_funnel_adds_up(dataset: Path) -> None:
    manifest = open_dataset(dataset).manifest
    assert list(verify(dataset)) == []
    assert manifest.funnel[0].num_in > manifest.funnel[-1].num_out == manifest.num_pairs > 50
    assert all(stage.num_in == stage.num_out + sum(stage.dropped.values()) for stage in manifest.funnel)


def test_forbidden_paths_are_never_asked_for_and_hosts_see_our_name_and_our_limits(
    world: Path, dataset: Path, served: Served
) -> None:
    forbidden = [row.url for row in read_truth(world) if row.outcome == "robots_disallowed"]
    assert dataset.exists()
    assert forbidden
    assert not any(served.web.num_requests[url] for url in forbidden)
    assert all(agent.startswith("openwit/") for agent in served.web.user_agents)
    assert 1 <= max(served.web.max_concurrent.values()) <= demo().config.fetch.per_host_concurrency


def test_each_pair_says_where_it_was_found(world: Path, dataset: Path) -> None:
    urls = pq.read_table(world / "urls.parquet")["url"].to_pylist()
    rows = [*index_rows(dataset), *(row for row in rejected(dataset) if row["stage"] in TRIED_STAGES)]
    assert {row["source"] for row in rows} == {"commons", "table"}
    for row in rows:
        if row["source"] == "table":
            assert row["source_file"] == "urls.parquet"
            assert canonical_url(urls[row["source_offset"]]) == row["url"]
        else:
            assert (row["source_file"], row["source_offset"]) == (None, None)
        assert 0 < row["keep_probability"] <= 1


def test_the_manifest_says_what_was_read_and_when(dataset: Path) -> None:
    manifest = open_dataset(dataset).manifest
    read = {source.name: source.read for source in manifest.sources}
    assert read == {"commons": (ENDPOINT,), "table": ("urls.parquet",)}
    assert sum(source.num_candidates for source in manifest.sources) == manifest.funnel[0].num_out
    dates = manifest.dates
    assert dates is not None
    assert dates.finished == manifest.created_at
    times = (dates.begun, dates.fetched_from, dates.fetched_to, dates.finished)
    assert list(times) == sorted(filter(None, times))


def test_each_picture_has_the_time_of_its_fetch_beside_the_index(dataset: Path) -> None:
    opened = open_dataset(dataset)
    dates = opened.manifest.dates
    assert dates is not None
    recorded = {file.path for file in opened.manifest.files}
    for shard in opened.manifest.shards:
        times = read_fetch_times(dataset, shard)
        assert times is not None
        assert times["key"].equals(opened.read_index(shard)["key"])
        assert fetch_times_path(dataset, shard).relative_to(dataset).as_posix() in recorded
        for time in times["fetched_at"].to_pylist():
            assert str(dates.begun) <= time.isoformat() <= str(dates.finished)


def test_a_kept_picture_and_its_dropped_copies_are_one_cluster(dataset: Path) -> None:
    copies = [row for row in rejected(dataset) if row["kept_key"]]
    kept = {row["key"]: row for row in index_rows(dataset)}
    assert Counter(row["kept_key"] for row in copies if row["kept_key"] in kept) == Counter(
        {key: row["num_duplicates"] for key, row in kept.items() if row["num_duplicates"]}
    )
    assert {row["distance"] for row in copies if row["detail"] == "the same bytes"} == {0}
    for row in copies:
        assert len(row["sha256"]) == 64
        assert row["detail"] in ("the same bytes", f"{row['distance']} of 64 bits differ")


# Two workers build the same bytes in tests/test_pipeline_killed.py, too, where one of them is killed.
@pytest.mark.parametrize("workers", [1, *(pytest.param(many, marks=pytest.mark.slow) for many in (2, 4))])
def test_any_number_of_workers_builds_the_same_bytes_beside_what_a_killed_process_left(
    small_config: BuildConfig, dataset: Path, served: Served, tmp_path: Path, workers: int
) -> None:
    other = tmp_path / "dataset"
    (other / "shards").mkdir(parents=True)
    (other / "shards" / ".00000.tar.77.tmp").write_bytes(b"cut short")
    build(small_config, options(other, served, workers=workers))
    assert contents(other) == contents(dataset)
    assert list(verify(other)) == []


def test_a_finished_build_is_left_as_it_is(small_config: BuildConfig, dataset: Path, served: Served) -> None:
    before = (dataset / "manifest.json").stat().st_mtime_ns
    manifest: Manifest = build(small_config, options(dataset, served))
    assert (dataset / "manifest.json").stat().st_mtime_ns == before
    assert manifest.num_pairs == open_dataset(dataset).manifest.num_pairs


def test_a_build_that_another_version_began_is_refused(small_config: BuildConfig, tmp_path: Path) -> None:
    work = tmp_path / "dataset" / "work"
    work.mkdir(parents=True)
    (work / "config.json").write_text("{}")
    for begun in (None, '{"at": "2026-01-01T00:00:00+00:00", "schema_version": 1}'):
        if begun:
            (work / "begun.json").write_text(begun)
        with pytest.raises(ValueError, match="begun by another version of openwit"):
            build(small_config, RunOptions(dataset=tmp_path / "dataset", quiet=True))


def test_another_configuration_in_the_same_directory_is_refused(
    small_config: BuildConfig, dataset: Path, served: Served
) -> None:
    changed = replace(small_config, pairs_per_shard=7)
    with pytest.raises(ValueError, match="was begun with pairs_per_shard = 1000, now it is 7"):
        build(changed, options(dataset, served))
