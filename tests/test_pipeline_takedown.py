"""What was taken down from a built dataset stays out: of rebuilds with its list, of retries and additions."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.do_not_fetch import LIST_NAME
from manifests.reshard import reshard
from manifests.store import open_dataset
from manifests.takedown import take_down
from manifests.takedown.receipt import Signed
from manifests.takedown.request import Request
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig
from pipeline.retry import RetryRequest, limits_of, retry
from pipeline.sample_web.serve import read_web
from pipeline.sample_web.server import Resource, Served, serving
from tests.small_world import options
from tests.test_manifests_takedown import files, rows_of, traces

SIGNED = Signed(by="A. Person", reason="asked for")


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[Served]:
    """The small world, of which some pictures are not there at first."""
    with serving(read_web(world)) as served:
        yield served


@pytest.fixture(scope="module")
def config(small_config: BuildConfig) -> BuildConfig:
    fetch = replace(small_config.fetch, max_tries=1, timeout_s=1.0)
    return replace(small_config, fetch=fetch, pairs_per_shard=10)


@pytest.fixture(scope="module")
def built(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without twelve pictures that were down, which are up now."""
    root, resources = tmp_path_factory.mktemp("built") / "dataset", served.web.resources
    up = sorted(key for key, found in resources.items() if key[1].endswith(".jpg") and found.status == 200)[
        ::9
    ]
    whole = {key: resources[key] for key in up[:12]}
    resources.update(dict.fromkeys(whole, Resource(status=410)))
    build(config, options(root, served))
    resources.update(whole)
    return root


@pytest.fixture
def dataset(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "dataset")
    return tmp_path / "dataset"


def take(root: Path, *urls: str) -> None:
    take_down(root, Request.of([("url", url) for url in urls], max_distance=0), SIGNED)


def test_one_pair_of_a_hundred_is_taken_down_and_found_nowhere(dataset: Path) -> None:
    rows, before = rows_of(dataset), files(dataset)
    gone = rows[len(rows) // 2 :: 100]
    assert len(gone) >= 1
    old = open_dataset(dataset).manifest
    take(dataset, *(row["url"] for row in gone))
    new, after = open_dataset(dataset).manifest, files(dataset)
    assert list(verify(dataset)) == []
    said = [text for row in gone for text in (row["url"], row["caption"], row["key"])]
    assert traces(dataset, *said) == []
    assert {name for row in gone for name, _ in traces(dataset, row["sha256"])} == {LIST_NAME}
    touched = [shard for shard in old.shards if shard not in new.shards]
    assert (
        len(touched) == len({row["key"] for row in gone}) == len(new.shards) + len(touched) - len(old.shards)
    )
    kept = {
        name for shard in old.shards if shard in new.shards for name in (shard.tar.path, shard.index.path)
    }
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert len(rows_of(dataset)) == len(rows) - len(gone)


def test_a_rebuild_with_the_list_does_not_bring_it_back_nor_write_it_down(
    dataset: Path, config: BuildConfig, served: Served, tmp_path: Path
) -> None:
    rows = rows_of(dataset)
    gone = rows[7]
    take(dataset, gone["url"])
    listed = replace(config, fetch=replace(config.fetch, do_not_fetch=str(dataset / LIST_NAME)))
    before = served.web.num_requests[gone["url"]]
    build(listed, options(tmp_path / "again", served))
    shutil.rmtree(tmp_path / "again" / "work")
    again = rows_of(tmp_path / "again")
    assert traces(tmp_path / "again", gone["url"], gone["caption"], gone["key"], gone["sha256"]) == []
    assert len(again) > 0.8 * len(rows)  # and little else is kept out by its looks
    assert served.web.num_requests[gone["url"]] == before
    table = pq.read_table(tmp_path / "again" / "rejections")
    assert "taken_down" in table["reason"].to_pylist()
    assert list(verify(tmp_path / "again")) == []


def test_a_retry_does_not_bring_it_back_and_uses_no_number_again(dataset: Path, served: Served) -> None:
    rows = rows_of(dataset)
    names = [Path(shard.tar.path).stem for shard in open_dataset(dataset).manifest.shards]
    failed = [row for row in rejections(dataset) if row["reason"] == "http_error"]
    gone = [failed[0]["url"], rows[-1]["url"]]
    take(dataset, *gone)
    for where in ("reason=http_error", "stage=fetch"):
        request = RetryRequest(
            dataset=dataset,
            where=(where,),
            fetch=limits_of(dataset),
            connect_to=served.connect_to,
            quiet=True,
        )
        manifest = retry(request)
        assert list(verify(dataset)) == []
    shutil.rmtree(dataset / "work")
    assert traces(dataset, *gone) == []
    assert manifest.history[-2].num_gained >= 1
    new = [Path(shard.tar.path).stem for shard in manifest.shards if Path(shard.tar.path).stem not in names]
    assert new == [f"{len(names) + number:05d}" for number in range(len(new))]
    assert names[-1] not in [Path(shard.tar.path).stem for shard in manifest.shards]


def rejections(root: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = pq.read_table(root / "rejections").to_pylist()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("pairs_per_shard", [1, 7, 1000])
def test_a_reshard_has_the_bytes_of_a_build_with_that_size(
    built: Path, config: BuildConfig, served: Served, tmp_path: Path, pairs_per_shard: int
) -> None:
    other = replace(config, pairs_per_shard=pairs_per_shard)
    expected = build(other, replace(options(tmp_path / "other", served), reuse=built))
    found = reshard(open_dataset(built), tmp_path / "resharded", pairs_per_shard)
    assert found.content_hash == expected.content_hash
