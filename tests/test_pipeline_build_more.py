"""New terms and new crawls for a finished dataset, against what a build of everything finds."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.hashes import hamming
from filters.queries import QueryIndex
from manifests.schema import Manifest
from manifests.storage import move
from manifests.store import open_dataset
from manifests.takedown import take_down
from manifests.takedown.receipt import Signed
from manifests.takedown.request import Request
from manifests.verify import verify
from pipeline.__main__ import main
from pipeline.build import build
from pipeline.build_more import defaults_of, extend
from pipeline.config import BuildConfig, Cap
from pipeline.extend import config_of
from pipeline.known import NEVER_ASKED
from pipeline.sample_web.server import Served
from pipeline.sources import Sources
from pipeline.sources.table import Table
from tests.small_world import contents, options

Row = dict[str, Any]


@pytest.fixture(scope="module")
def lists(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Lists of terms: every second one, and all in the order in which an addition numbers them."""
    terms = (world / "queries.txt").read_text().splitlines()
    folder = tmp_path_factory.mktemp("terms")
    chosen = {
        "some": terms[::2],
        "all": [*terms[::2], *terms[1::2]],
    }
    for name, listed in chosen.items():
        (folder / f"{name}.txt").write_text("\n".join(listed))
    return {name: folder / f"{name}.txt" for name in chosen}


@pytest.fixture(scope="module")
def crawls(world: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two tables of URLs that have a third in common."""
    rows, folder = pq.read_table(world / "urls.parquet"), tmp_path_factory.mktemp("crawls")
    pq.write_table(rows.slice(0, 2 * len(rows) // 3), folder / "0.parquet")
    pq.write_table(rows.slice(len(rows) // 3), folder / "1.parquet")
    return [folder / "0.parquet", folder / "1.parquet"]


@pytest.fixture(scope="module")
def config(small_config: BuildConfig, lists: dict[str, Path], crawls: list[Path]) -> BuildConfig:
    """A build of some terms and the first table, without patience for what stays broken."""
    fetch = replace(small_config.fetch, max_tries=1, timeout_s=1.0)
    table = replace(small_config.sources.table, paths=(str(crawls[0]),))
    sources = replace(small_config.sources, table=table)
    return replace(small_config, queries=str(lists["some"]), sources=sources, fetch=fetch, pairs_per_shard=20)


def built(config: BuildConfig, root: Path, served: Served) -> Path:
    build(config, options(root, served))
    shutil.rmtree(root / "work")  # nothing of it is needed
    return root


def copy_of(dataset: Path, to: Path) -> Path:
    shutil.copytree(dataset, to / "dataset")
    return to / "dataset"


def more(dataset: Path, served: Served, queries: Path | None = None, **changed: Any) -> Manifest:
    """Extend a dataset by the terms of a list, or by the sources that are given."""
    config = defaults_of(dataset, new_terms=queries is not None)
    return extend(replace(config, queries=str(queries or ""), **changed), options(dataset, served))


@pytest.fixture(scope="module")
def base(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(config, tmp_path_factory.mktemp("base") / "dataset", served)


@pytest.fixture(scope="module")
def whole(
    config: BuildConfig, lists: dict[str, Path], served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A build of all terms at once."""
    everything = replace(config, queries=str(lists["all"]))
    return built(everything, tmp_path_factory.mktemp("whole") / "dataset", served)


@pytest.fixture(scope="module")
def asked(served: Served) -> Counter[str]:
    """How often each picture was asked for while the dataset `larger` was extended."""
    return Counter()


@pytest.fixture(scope="module")
def larger(
    base: Path,
    lists: dict[str, Path],
    served: Served,
    asked: Counter[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The dataset of some terms, extended by the others."""
    dataset = copy_of(base, tmp_path_factory.mktemp("larger"))
    before = Counter(served.web.num_requests)
    command = ["build", "--extend", str(dataset), "--queries", str(lists["all"]), "--quiet"]
    assert main([*command, "--connect-to", *served.connect_to]) == 0
    asked.update(Counter(served.web.num_requests) - before)
    return dataset


def kept_of(root: Path) -> list[Row]:
    opened = open_dataset(root)
    return [row for shard in opened.manifest.shards for row in opened.read_index(shard).to_pylist()]


def dropped_of(root: Path) -> list[Row]:
    paths = sorted((root / "rejections").glob("*"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def asked_pairs(root: Path) -> set[tuple[str, str]]:
    """The pairs that a dataset has asked for, kept or not, told the slow way."""
    tried = [row for row in dropped_of(root) if row["stage"] not in NEVER_ASKED]
    return {(row["url"], row["caption"]) for row in (*kept_of(root), *tried)}


def shard_files(root: Path, manifest: Manifest) -> dict[str, bytes]:
    names = [name for shard in manifest.shards for name in (shard.tar.path, shard.index.path)]
    return {name: (root / name).read_bytes() for name in names}


def test_shards_that_are_there_keep_their_bytes_and_the_dataset_is_whole(base: Path, larger: Path) -> None:
    before, after = open_dataset(base).manifest, open_dataset(larger).manifest
    assert list(verify(larger)) == []
    assert shard_files(larger, before) == shard_files(base, before)
    assert after.shards[: len(before.shards)] == before.shards
    assert after.num_pairs - before.num_pairs == after.history[-1].num_gained >= 10


def test_what_is_asked_for_is_what_a_build_of_all_terms_asks_for_but_for_known_urls(
    base: Path, larger: Path, whole: Path
) -> None:
    known = {url for url, _ in asked_pairs(base)}
    new = asked_pairs(larger) - asked_pairs(base)
    assert new == {pair for pair in asked_pairs(whole) if pair[0] not in known}
    assert len(new) > 20


def test_no_known_url_is_asked_for_again(base: Path, larger: Path, asked: Counter[str]) -> None:
    known = {url for url, _ in asked_pairs(base)}
    new = {url for url, _ in asked_pairs(larger)} - known
    assert not known & set(asked)
    assert len(new & set(asked)) > 10


def test_pairs_of_all_terms_are_kept_or_copies_of_what_is_kept(base: Path, larger: Path, whole: Path) -> None:
    num_old = open_dataset(base).manifest.num_pairs
    rows = kept_of(larger)
    assert len({row["key"] for row in rows}) == len(rows)
    for row in rows[num_old:]:
        assert [other for other in rows if hamming(row["phash"], other["phash"]) <= 4] == [row]
    failed = {row["url"] for row in dropped_of(base) if row["stage"] == "fetch"}
    for row in kept_of(whole):
        assert row["url"] in failed or any(hamming(row["phash"], other["phash"]) <= 4 for other in rows)


def test_new_terms_are_numbered_after_the_old_ones_and_counted(
    base: Path, larger: Path, whole: Path, lists: dict[str, Path]
) -> None:
    terms = pq.read_table(larger / "queries.parquet").to_pylist()
    found = Counter(number for row in kept_of(larger) for number in row["query_ids"])
    assert [row["text"] for row in terms] == lists["all"].read_text().splitlines()
    assert [row["query_id"] for row in terms] == list(range(len(terms)))
    assert [row["num_kept"] for row in terms] == [found[row["query_id"]] for row in terms]
    assert all(row["num_kept"] <= row["num_tried"] <= row["num_matched"] for row in terms)
    coverage = pq.read_table(larger / "coverage.parquet").to_pylist()
    for name in ("num_matched", "num_tried", "num_kept"):
        assert sum(row[name] for row in coverage) == sum(row[name] for row in terms)
    manifest = open_dataset(larger).manifest
    assert (manifest.num_queries, manifest.queries_sha256) == (
        open_dataset(whole).manifest.num_queries,
        manifest.history[-1].request["queries_sha256"],
    )


def test_services_are_asked_for_new_terms_alone(base: Path, larger: Path, whole: Path) -> None:
    count = {root: open_dataset(root).manifest.sources[0] for root in (base, larger, whole)}
    assert count[larger].name == "commons"
    assert count[larger].num_candidates == count[whole].num_candidates > count[base].num_candidates


def test_every_candidate_is_counted(base: Path, larger: Path) -> None:
    before, after = open_dataset(base).manifest, open_dataset(larger).manifest
    change = after.history[-1]
    assert after.funnel[0].num_in == before.funnel[0].num_in + change.num_tried
    new = Counter(row["reason"] for row in dropped_of(larger)) - Counter(
        row["reason"] for row in dropped_of(base)
    )
    assert new == change.dropped
    assert change.dropped["known_url"] > 20


@pytest.mark.parametrize("rule", ["exact", pytest.param("soft", marks=pytest.mark.slow)])
def test_caps_hold_over_old_and_new_pairs(
    config: BuildConfig, lists: dict[str, Path], served: Served, tmp_path: Path, rule: Any
) -> None:
    root = built(replace(config, cap=Cap(max_pairs_per_query=3, rule=rule)), tmp_path / "dataset", served)
    old = kept_of(root)
    index = QueryIndex(lists["all"].read_text().splitlines())
    had = Counter(number for row in old for number in index.matches(row["caption"]))
    change = more(root, served, lists["all"], rounds=2).history[-1]
    new = kept_of(root)[len(old) :]
    assert list(verify(root)) == []
    assert len(new) == change.num_gained > 0
    assert change.dropped["over_cap"] > 0
    # Each pair was taken by a term that had room, old captions with a new term counted.
    assert all(any(had[number] < 3 for number in row["query_ids"]) for row in new)


def test_after_new_terms_a_new_crawl_asks_for_no_known_url(
    config: BuildConfig, crawls: list[Path], larger: Path, served: Served, tmp_path: Path
) -> None:
    dataset = copy_of(larger, tmp_path)
    known, before = {url for url, _ in asked_pairs(dataset)}, Counter(served.web.num_requests)
    crawl = Sources(table=replace(config.sources.table, paths=(str(crawls[1]),)))
    manifest = more(dataset, served, sources=crawl)
    assert not known & set(Counter(served.web.num_requests) - before)
    assert [change.request["settings"] for change in manifest.history] == [
        {},
        {"sources.table.paths": [str(crawls[1])]},
    ]
    assert all(change.num_gained > 0 for change in manifest.history)
    assert config_of(manifest).sources == replace(config.sources, table=crawl.table)
    assert list(verify(dataset)) == []


def test_what_was_taken_down_is_not_asked_for_again(
    config: BuildConfig, larger: Path, served: Served, tmp_path: Path
) -> None:
    dataset = copy_of(larger, tmp_path)
    gone = kept_of(dataset)[-1]
    take_down(dataset, Request.of([("url", gone["url"])], max_distance=0), Signed(by="A. Person", reason="-"))
    assert gone["url"] not in {url for url, _ in asked_pairs(dataset)}
    pq.write_table(pa.table({"url": [gone["url"]], "alt": [gone["caption"]]}), tmp_path / "again.parquet")
    before = served.web.num_requests[gone["url"]]
    again = Sources(table=Table(paths=(str(tmp_path / "again.parquet"),), caption_column="alt"))
    change = more(dataset, served, sources=again).history[-1]
    assert (change.num_tried, change.dropped) == (1, {"taken_down": 1})
    assert served.web.num_requests[gone["url"]] == before
    assert list(verify(dataset)) == []


def cut(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


STEPS = {
    "reading the sources": "pipeline.build_more.Crawl.expand",
    "matching": "pipeline.match.MatchCandidates.expand",
    "writing the shards": "pipeline.build.WriteShards.expand",
    "writing the manifest": "pipeline.addition.write_manifest",
}


def cut_move(at: str) -> Callable[[Path, Path], None]:
    """What moves files into a dataset, but for those of a name, at which it is cut."""

    def move_or_cut(path: Path, to: Path) -> None:
        if path.name.endswith(at):
            raise KeyboardInterrupt
        move(path, to)

    return move_or_cut


def test_cut_at_every_step_an_addition_ends_with_the_same_bytes_and_build_completes_its_move(
    config: BuildConfig,
    base: Path,
    larger: Path,
    lists: dict[str, Path],
    served: Served,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = copy_of(base, tmp_path)
    for step in STEPS.values():
        with monkeypatch.context() as patched:
            patched.setattr(step, cut)
            with pytest.raises(KeyboardInterrupt):
                more(dataset, served, lists["all"])
        assert contents(dataset) == contents(base)  # until the end nothing of it changes
    for name in (".tar", "sizes.json", "manifest.json"):
        with monkeypatch.context() as patched:
            patched.setattr("manifests.transfer.move", cut_move(name))
            with pytest.raises(KeyboardInterrupt):
                more(dataset, served, lists["all"])
    manifest = build(config, options(dataset, served))
    assert [change.kind for change in manifest.history] == ["extend"]
    assert contents(dataset) == contents(larger)


@pytest.mark.slow
def test_two_workers_add_the_same_bytes(
    base: Path, larger: Path, lists: dict[str, Path], served: Served, tmp_path: Path
) -> None:
    dataset = copy_of(base, tmp_path)
    config = replace(defaults_of(dataset, new_terms=True), queries=str(lists["all"]))
    extend(config, options(dataset, served, workers=2))
    assert contents(dataset) == contents(larger)


@pytest.mark.slow
def test_killed_at_random_moments_an_addition_ends_with_the_same_bytes(
    base: Path, larger: Path, lists: dict[str, Path], served: Served, tmp_path: Path
) -> None:
    dataset, rng, num_kills = copy_of(base, tmp_path), random.Random(7), 0
    command = [sys.executable, "-m", "pipeline", "build", "--extend", str(dataset), "--quiet"]
    command += ["--queries", str(lists["all"]), "--connect-to", *served.connect_to]
    while not open_dataset(dataset).manifest.history:  # whole at any moment
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            assert process.wait(rng.uniform(1.0, 6.0) if num_kills < 20 else 300.0) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            num_kills += 1
    assert num_kills >= 3
    assert contents(dataset) == contents(larger)


def test_the_command_says_why_it_cannot(
    base: Path, lists: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["build", "--extend", str(copy_of(base, tmp_path)), "--quiet"]
    assert main([*command, "--queries", str(lists["some"])]) == 2
    assert "nothing to add to" in capsys.readouterr().err
    assert main(command) == 2
    assert "no source says where to look" in capsys.readouterr().err
    assert main([*command, "--queries", str(lists["all"]), "--encode.side-px", "128"]) == 2
    assert "was built with encode.side_px = 256, now it is 128" in capsys.readouterr().err
    assert main(["build", "laptop", *command[1:]]) == 2
    assert "'laptop' before --extend" in capsys.readouterr().err
