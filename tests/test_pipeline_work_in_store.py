"""Builds whose work folder is in a store: no disk is shared, and the dataset is that of a local build."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from filters.reasons import Drop, Reason
from manifests.dates import timeless
from manifests.schema import Manifest
from manifests.storage import link_or_copy, location, read_bytes
from manifests.store import MANIFEST_NAME, read_manifest
from manifests.transfer import files_of
from manifests.verify import Options, verify
from pipeline.__main__ import main
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.live import LiveFetch
from pipeline.progress import Tally, counts_in
from pipeline.records import Candidate, reject
from pipeline.sample_web.serve import ENDPOINT
from pipeline.sample_web.server import Served
from pipeline.sources.journal import Journal, Page, forget
from tests.pools import end_pool, start_pool
from tests.s3 import S3, serving_s3
from tests.small_world import options

ROOT = Path(__file__).parents[1]
SHARE_OF_FAULTS = 0.03
URLS = "s3://bucket/urls.parquet"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """A store, and a cache folder of this module alone: it says whose work folders in a store are."""
    with pytest.MonkeyPatch.context() as patched, serving_s3(SHARE_OF_FAULTS) as s3:
        patched.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield s3


@pytest.fixture(scope="module")
def config(small_config: BuildConfig, world: Path, s3: S3) -> BuildConfig:
    """The small world, in several shards and units, its table in the store."""
    link_or_copy(world / "urls.parquet", location(URLS))
    sources = replace(small_config.sources, table=replace(small_config.sources.table, paths=(URLS,)))
    fetch = replace(small_config.fetch, pairs_per_unit=20)
    return replace(small_config, pairs_per_shard=20, fetch=fetch, sources=sources)


@pytest.fixture(scope="module")
def here(config: BuildConfig, served: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset that a build on this machine leaves."""
    root = tmp_path_factory.mktemp("here") / "small"
    build(config, options(root, served))
    return root


def assert_same(root: Path, other: Path) -> None:
    """See that two datasets have the same bytes; and first, which says more, that as many were dropped."""
    assert read_manifest(root).funnel == read_manifest(other).funnel
    assert what_lasts(root) == what_lasts(other)


def what_lasts(root: Path) -> tuple[Manifest, dict[str, bytes]]:
    """A dataset's manifest, and the bytes of every file that it lists, but for times."""
    manifest = timeless(read_manifest(root))
    return manifest, {file.path: read_bytes(root / file.path) for file in files_of(manifest)}


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_build_that_works_in_a_store_is_the_local_build(
    here: Path, config: BuildConfig, served: Served, s3: S3, tmp_path: Path, workers: int
) -> None:
    place = location(f"s3://bucket/{workers}/small")
    local = options(tmp_path, served, workers)
    build(config, replace(local, dataset=place, work=location(f"s3://bucket/{workers}/work")))
    assert_same(place, here)
    assert list(verify(place, Options(deep=True))) == []
    assert not (location(f"s3://bucket/{workers}/work") / "lock").exists()
    assert s3.faults.total() > 0


@pytest.mark.parametrize(
    ("dataset", "work", "said"),
    [
        ("runs/mine", "s3://bucket/work", "is in a store, and runs/mine is not"),
        ("s3://bucket/mine", "https://example.org/work", "a web server is only read from"),
        ("s3://bucket/mine", None, r"or --work s3://bucket/mine/work for workers on other machines"),
    ],
)
def test_a_work_folder_where_none_can_be_is_refused(dataset: str, work: str | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        RunOptions(dataset=location(dataset), work=location(work) if work else None)


DATAFLOW = (
    *("--runner", "dataflow", "--dataflow.project", "my-project", "--dataflow.region", "us-central1"),
    *("--dataflow.temp-location", "gs://bucket/tmp", "--dataflow.image", "registry.example/openwit:1"),
)


def test_workers_elsewhere_need_no_shared_disk_for_a_dataset_in_a_store(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["build", "demo", "--dry-run", "--dataset", "s3://bucket/mine", *DATAFLOW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].startswith("work folder s3://bucket/mine/work, in a store")
    assert lines[-1].endswith("phases could be handed to dataflow; nothing was run or reached")


@pytest.mark.parametrize(
    ("flag", "path"),
    [
        ("table.paths", "urls.parquet"),
        ("folder.paths", "/photos"),
        ("common-crawl.paths", "wat.paths.gz"),
        ("fetch.do-not-fetch", "list.txt"),
    ],
)
def test_a_file_that_workers_elsewhere_lack_is_named(
    flag: str, path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["build", "demo", "--dry-run", "--dataset", "s3://bucket/mine", *DATAFLOW, f"--{flag}", path]
    assert main(arguments) == 2
    said = f"{flag}: {path} is on this machine's disk, which the workers of dataflow would not see. Next: "
    assert said in capsys.readouterr().err


def test_a_journal_in_a_store_gives_back_what_one_on_disk_gives(s3: S3, tmp_path: Path) -> None:
    found = [Candidate(url=f"http://a.example/{n}", caption="a cup", source="commons") for n in range(3)]
    failed = reject("crawl", Drop(Reason.SOURCE_ERROR, "lag"), found[0])
    pages = [
        ("cup", Page(found[:2], {"sroffset": "2"})),
        ("tree", Page([failed], {})),
        ("cup", Page(found[2:], {})),
    ]
    there = location("s3://bucket/journal/commons-00000.answers.jsonl")
    for path in (there, tmp_path / "journal"):
        for page in pages:  # as if it were killed after each
            with Journal.opened(path) as journal:
                journal.write(*page)
        with Journal.opened(path) as journal:
            assert list(journal.pages("cup")) == [pages[0][1], pages[2][1]]
            assert list(journal.pages("tree")) == [pages[1][1]]
        forget(path)
        assert not path.exists()


def test_counts_of_workers_come_through_a_store(s3: S3) -> None:
    folder = location("s3://bucket/tallies")
    for _ in range(2):
        tally = Tally(folder)
        for _ in range(3):
            tally.add("fetch/in")
        tally.write()
    assert LiveFetch(folder).num_done() == 0
    assert counts_in(folder) == {"fetch/in": 6}


def start(world: Path, served: Served, place: str, *flags: str) -> subprocess.Popen[bytes]:
    """Start the command that a person would type, in a folder that every machine has."""
    command = [
        *(sys.executable, "-m", "pipeline", "build", "demo", "--sample-web", "None", "--quiet"),
        *("--dataset", f"{place}/small", "--work", f"{place}/work", "--connect-to", *served.connect_to),
        *("--queries", str(world / "queries.txt"), "--commons.endpoint", ENDPOINT),
        *("--table.paths", URLS, "--table.caption-column", "alt"),
        *("--fetch.pairs-per-unit", "20", "--pairs-per-shard", "20", *flags),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd="/", env=environment)


def why_no_disks() -> str | None:
    """Return why this machine gives a process no disks of its own."""
    made = subprocess.run(["unshare", "--mount", "true"], capture_output=True, text=True, check=False)
    return f"needs mount namespaces: {made.stderr.strip()}" if made.returncode else None


@pytest.mark.slow
def test_pools_with_disks_of_their_own_leave_the_local_build(
    world: Path, here: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    if reason := why_no_disks():
        pytest.skip(reason)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    # All of the driver's files, the world and the cache folder among them, are under this mount.
    hidden = world.parents[1]
    alone = f'mount -t tmpfs none {hidden} && cd {{}} && exec "$@"'
    started = [
        start_pool(before=("unshare", "--mount", "sh", "-c", alone.format(folder), "sh"))
        for folder in ("/usr", "/var")
    ]
    try:
        addresses = [address for _, address in started]
        flags = ("--workers", "2", "--direct.pools", *addresses)
        assert start(world, served, "s3://bucket/pools", *flags).wait(500) == 0
    finally:
        for pool, _ in started:
            end_pool(pool)
    assert_same(location("s3://bucket/pools/small"), here)


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "num_kills"), [(1, 8), (2, 8)])
def test_killed_anywhere_a_build_that_works_in_a_store_ends_with_the_same_bytes(
    world: Path, here: Path, served: Served, s3: S3, workers: int, num_kills: int
) -> None:
    rng, hits, finished = random.Random(num_kills), 0, 0
    while hits < num_kills or not finished:
        place = f"s3://bucket/killed-{workers}/{finished}"
        process = start(world, served, place, "--workers", str(workers))
        try:
            assert process.wait(rng.uniform(4.0, 25.0) if hits < num_kills else 500) == 0
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            hits += 1
            # Files that are listed are whole, at any moment.
            if (location(place) / "small" / MANIFEST_NAME).exists():
                assert_same(location(place) / "small", here)
            continue
        assert_same(location(place) / "small", here)
        finished += 1
    print(f"{hits} kills; {finished} builds ended; faults {dict(s3.faults)}")
