"""Failures tried again: what is gained goes into new shards beside the old ones, which nobody touches."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.hashes import hamming
from filters.urls import UrlRules
from manifests.schema import Manifest
from manifests.store import open_dataset
from manifests.verify import verify
from pipeline.build import build
from pipeline.config import BuildConfig, Cap
from pipeline.job import config_as_json
from pipeline.recipes import RECIPES
from pipeline.retry import RetryRequest, Where, limits_of, retry
from pipeline.sample_web.serve import read_web
from pipeline.sample_web.server import Resource, Served, serving
from tests.small_world import contents, options

NUM_DOWN = 30
DOWN = ("reason=http_error", "stage=fetch")


@pytest.fixture(scope="module")
def served(world: Path) -> Iterator[Served]:
    """The small world, in which some of the pictures that would be kept are not there at first."""
    with serving(read_web(world)) as served:
        yield served


def quick(config: BuildConfig) -> BuildConfig:
    """The same, without patience for what stays broken."""
    return replace(config, fetch=replace(config.fetch, max_tries=1, timeout_s=1.0))


@pytest.fixture(scope="module")
def broken(small_config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset without the pictures that were down, which are up now."""
    root = tmp_path_factory.mktemp("broken") / "dataset"
    resources = served.web.resources
    down = sorted(
        key for key, found in resources.items() if key[1].endswith(".jpg") and found.flow == "whole"
    )
    down = [key for key in down if resources[key].status == 200][::3][:NUM_DOWN]
    whole = {key: resources[key] for key in down}
    resources.update(dict.fromkeys(down, Resource(status=410)))
    build(replace(quick(small_config), pairs_per_shard=20), options(root, served))
    resources.update(whole)
    return root


@pytest.fixture
def dataset(broken: Path, tmp_path: Path) -> Path:
    """A copy of the dataset, without the folder of its build."""
    shutil.copytree(broken, tmp_path / "dataset", ignore=shutil.ignore_patterns("work"))
    return tmp_path / "dataset"


@pytest.fixture(scope="module")
def gained(broken: Path, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset after a retry of what was down."""
    root = tmp_path_factory.mktemp("gained") / "dataset"
    shutil.copytree(broken, root, ignore=shutil.ignore_patterns("work"))
    retry(request(root, served, *DOWN))
    return root


def request(dataset: Path, served: Served, *where: str, workers: int = 1) -> RetryRequest:
    return RetryRequest(
        dataset=dataset,
        where=where,
        workers=workers,
        fetch=limits_of(dataset),
        connect_to=served.connect_to,
        quiet=True,
    )


def rows_of(root: Path) -> list[dict[str, object]]:
    opened = open_dataset(root)
    return [row for shard in opened.manifest.shards for row in opened.read_index(shard).to_pylist()]


def rejections_of(root: Path) -> list[dict[str, object]]:
    """What was dropped; being found twice is no end."""
    paths = sorted((root / "rejections").glob("*"))
    rows = [row for path in paths for row in pq.read_table(path).to_pylist()]
    return [row for row in rows if row["reason"] != "duplicate_pair"]


def shard_files(root: Path, manifest: Manifest) -> dict[str, bytes]:
    names = [name for shard in manifest.shards for name in (shard.tar.path, shard.index.path)]
    return {name: (root / name).read_bytes() for name in names}


def test_what_is_gained_goes_into_new_shards_and_the_old_ones_keep_their_bytes(
    broken: Path, gained: Path
) -> None:
    before, after = open_dataset(broken).manifest, open_dataset(gained).manifest
    was = rows_of(broken)
    change = after.history[-1]
    assert list(verify(gained)) == []
    assert shard_files(gained, before) == shard_files(broken, before)
    assert after.shards[: len(before.shards)] == before.shards
    assert rows_of(gained)[: len(was)] == was
    assert after.num_pairs - before.num_pairs == change.num_gained >= 5
    assert change.request == {"where": [*DOWN]}
    for row in rows_of(gained)[len(was) :]:  # what was known of it when it failed
        assert (row["source_file"] is None) == (row["source"] != "table")
        assert row["keep_probability"] is not None
    assert after.dates is not None
    assert before.dates is not None
    assert str(after.dates.fetched_to) >= str(before.dates.finished)
    assert after.dates.begun == before.dates.begun


def test_gained_pairs_are_no_copies_of_what_is_there_and_keys_are_unique(broken: Path, gained: Path) -> None:
    num_old = open_dataset(broken).manifest.num_pairs
    change = open_dataset(gained).manifest.history[-1]
    rows = rows_of(gained)
    assert len({row["key"] for row in rows}) == len(rows)
    for row in rows[num_old:]:
        near = [other for other in rows if hamming(row["phash"], other["phash"]) <= 4]  # type: ignore[arg-type]
        assert near == [row]
    assert change.dropped["near_duplicate"] + change.dropped["exact_duplicate"] >= 1


def test_every_failure_that_was_tried_has_a_new_end_and_the_others_keep_theirs(
    broken: Path, gained: Path
) -> None:
    before = {(row["url"], row["caption"]): row for row in rejections_of(broken)}
    change = open_dataset(gained).manifest.history[-1]
    after = {(row["url"], row["caption"]): row for row in rejections_of(gained)}
    tried = {pair for pair, row in before.items() if row["reason"] == "http_error"}
    kept = {(row["url"], row["caption"]) for row in rows_of(gained)}
    assert {pair: row for pair, row in before.items() if pair not in tried} == {
        pair: row for pair, row in after.items() if pair not in tried
    }
    assert tried == {pair for pair in tried if (pair in after) != (pair in kept)}
    assert change.dropped == Counter(after[pair]["reason"] for pair in tried if pair in after)


def test_counts_of_terms_follow(gained: Path) -> None:
    found = Counter(number for row in rows_of(gained) for number in row["query_ids"])  # type: ignore[attr-defined]
    terms = pq.read_table(gained / "queries.parquet").to_pylist()
    coverage = pq.read_table(gained / "coverage.parquet").to_pylist()
    assert [row["num_kept"] for row in terms] == [found[row["query_id"]] for row in terms]
    assert sum(row["num_kept"] for row in coverage) == found.total()


@pytest.mark.slow
def test_two_workers_gain_the_same_bytes(broken: Path, gained: Path, served: Served, tmp_path: Path) -> None:
    other = tmp_path / "other" / "dataset"
    shutil.copytree(broken, other)  # with the folder of its build, which a retry does not need
    retry(request(other, served, *DOWN, workers=2))
    assert contents(gained) == contents(other)


def test_full_terms_take_no_more(small_config: BuildConfig, served: Served, tmp_path: Path) -> None:
    root, resources = tmp_path / "dataset", dict(served.web.resources)
    pictures = sorted(key for key in resources if key[1].endswith(".jpg"))[::4]
    served.web.resources.update(dict.fromkeys(pictures, Resource(status=410)))
    cap = Cap(max_pairs_per_query=2)
    build(replace(quick(small_config), cap=cap), options(root, served))
    served.web.resources.update(resources)
    had = Counter(number for row in rows_of(root) for number in row["query_ids"])  # type: ignore[attr-defined]
    num_old = open_dataset(root).manifest.num_pairs
    change = retry(request(root, served, "reason=http_error")).history[-1]
    assert change.dropped["over_cap"] >= 1
    assert list(verify(root)) == []
    for row in rows_of(root)[num_old:]:  # each has a term that was not full
        assert any(had[number] < 2 for number in row["query_ids"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "kills_s", [(2.0, 2.6), pytest.param((1.2, 1.5, 1.8, 2.1, 2.4, 2.7, 3.0), marks=pytest.mark.slow)]
)
def test_a_killed_retry_goes_on_and_ends_with_the_same_bytes(
    dataset: Path, gained: Path, served: Served, kills_s: tuple[float, ...]
) -> None:
    command = [sys.executable, "-m", "pipeline", "retry", "--dataset", str(dataset), "--quiet"]
    command += ["--where", *DOWN, "--connect-to", *served.connect_to]
    kills = itertools.chain(kills_s, itertools.repeat(300.0))
    while not open_dataset(dataset).manifest.history:  # whole at any moment
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            assert process.wait(next(kills)) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert contents(dataset) == contents(gained)


def test_a_move_that_was_cut_is_completed(
    dataset: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(path: Path, target: Path) -> Path:
        if path.name == "samples.parquet" and "extend-1" in path.parts:
            raise KeyboardInterrupt
        return rename(path, target)

    rename = Path.replace
    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", cut)
        with pytest.raises(KeyboardInterrupt):
            retry(request(dataset, served, "reason=http_error"))
    assert list(verify(dataset)) != []
    manifest = retry(request(dataset, served, "reason=image_extreme_aspect", "host=nowhere.example"))
    assert [change.kind for change in manifest.history] == ["retry"]
    assert list(verify(dataset)) == []
    assert not list((dataset / "work").glob("extend-*"))


def test_another_request_waits_for_the_unfinished_one(
    dataset: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> None:
        raise RuntimeError("cut")

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.retry.publish_extension", cut)
        with pytest.raises(RuntimeError, match="cut"):
            retry(request(dataset, served, "reason=http_error"))
    with pytest.raises(ValueError, match=r"an addition to .* is unfinished"):
        retry(request(dataset, served, "reason=image_too_small"))


def test_nothing_to_try_again_leaves_the_dataset_as_it_is(dataset: Path, served: Served) -> None:
    before = contents(dataset)
    assert retry(request(dataset, served, "reason=timeout", "host=nowhere.example")).history == ()
    assert contents(dataset) == before


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ((), "nothing chosen: give --where reason=timeout"),
        (("timeout",), "'timeout' is no condition"),
        (("reason=slow",), "no reason 'slow', known: .*timeout"),
        (("stage=match",), "no stage 'match', known: fetch, image"),
        (("reason=timeout", "reason=http_error"), "each once"),
    ],
)
def test_a_choice_that_cannot_be_read_is_told(where: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Where.parse(where)


def test_a_host_stands_for_those_below_it() -> None:
    urls = ["http://a.test/1", "http://b.a.test/1", "http://ba.test/1"]
    table = pa.table({"stage": ["fetch"] * 3, "reason": ["timeout"] * 3, "url": urls})
    assert Where.parse(["host=a.test"]).mask(table).to_pylist() == [True, True, False]


@pytest.mark.parametrize("name", RECIPES)
def test_a_manifest_gives_back_the_configuration_it_was_written_from(name: str) -> None:
    config = replace(RECIPES[name]().config, url=UrlRules(blocked_domains=("a.test",)))
    assert msgspec.convert(config_as_json(config), BuildConfig) == config
