"""The whole build of the sample web against its truth: the right pairs, each drop under its reason."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.schema import Manifest
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.__main__ import with_sample_web
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.recipes import demo
from pipeline.sample_web.serve import read_truth, serving_world
from pipeline.sample_web.server import Served
from pipeline.sample_web.world import make_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("web") / "world"
    make_world(root, num_pictures=120, quiet=True)
    return root


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[Served]:
    with serving_world(world) as served:
        yield served


@pytest.fixture(scope="module")
def config(world: Path) -> BuildConfig:
    return with_sample_web(demo().config, world)


@pytest.fixture(scope="module")
def dataset(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("built") / "dataset"
    build(config, options(root, served))
    return root


def options(root: Path, served: Served, workers: int = 1) -> RunOptions:
    return RunOptions(dataset=root, workers=workers, connect_to=served.connect_to, quiet=True)


def outcomes(root: Path) -> dict[tuple[str, str], str]:
    """What became of every candidate; being found twice is no outcome of its own."""
    dataset = open_dataset(root)
    found = {
        (row["url"], row["caption"]): row["reason"]
        for file in sorted((root / "rejections").glob("*.parquet"))
        for row in pq.read_table(file).to_pylist()
        if row["reason"] != "duplicate_pair"
    }
    for shard in dataset.manifest.shards:
        found |= {(row["url"], row["caption"]): "kept" for row in dataset.read_index(shard).to_pylist()}
    return found


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


def test_two_workers_build_the_same_bytes(
    config: BuildConfig, dataset: Path, served: Served, tmp_path: Path
) -> None:
    other = tmp_path / "dataset"
    build(config, options(other, served, workers=2))
    assert contents(other) == contents(dataset)


def test_a_finished_build_is_left_as_it_is(config: BuildConfig, dataset: Path, served: Served) -> None:
    before = (dataset / "manifest.json").stat().st_mtime_ns
    manifest: Manifest = build(config, options(dataset, served))
    assert (dataset / "manifest.json").stat().st_mtime_ns == before
    assert manifest.num_pairs == open_dataset(dataset).manifest.num_pairs


def test_another_configuration_in_the_same_directory_is_refused(
    config: BuildConfig, dataset: Path, served: Served
) -> None:
    changed = replace(config, pairs_per_shard=7)
    with pytest.raises(ValueError, match="was begun with pairs_per_shard = 1000, now it is 7"):
        build(changed, options(dataset, served))


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a dataset but the build's own and the report, created_at aside."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and "work" not in path.parts]
    found = {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in files
        if path.name not in ("report.html", "manifest.json")
    }
    manifest = replace(open_dataset(root).manifest, created_at="")
    return {**found, "manifest.json": repr(manifest).encode()}
