"""The whole build of the sample web against its truth: the right pairs, each drop under its reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from manifests.schema import Manifest
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig
from pipeline.recipes import demo
from pipeline.sample_web.serve import read_truth
from pipeline.sample_web.server import Served
from tests.small_world import contents, options, outcomes


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


def test_two_workers_build_the_same_bytes_beside_what_a_killed_process_left(
    small_config: BuildConfig, dataset: Path, served: Served, tmp_path: Path
) -> None:
    other = tmp_path / "dataset"
    (other / "shards").mkdir(parents=True)
    (other / "shards" / ".00000.tar.77.tmp").write_bytes(b"cut short")
    build(small_config, options(other, served, workers=2))
    assert contents(other) == contents(dataset)
    assert list(verify(other)) == []


def test_a_finished_build_is_left_as_it_is(small_config: BuildConfig, dataset: Path, served: Served) -> None:
    before = (dataset / "manifest.json").stat().st_mtime_ns
    manifest: Manifest = build(small_config, options(dataset, served))
    assert (dataset / "manifest.json").stat().st_mtime_ns == before
    assert manifest.num_pairs == open_dataset(dataset).manifest.num_pairs


def test_another_configuration_in_the_same_directory_is_refused(
    small_config: BuildConfig, dataset: Path, served: Served
) -> None:
    changed = replace(small_config, pairs_per_shard=7)
    with pytest.raises(ValueError, match="was begun with pairs_per_shard = 1000, now it is 7"):
        build(changed, options(dataset, served))
