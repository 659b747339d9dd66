"""Datasets in an object store: built there, looked at, added to and trained on as those on this machine."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.dates import timeless
from manifests.fetch_times import FOLDER
from manifests.storage import location, read_bytes
from manifests.store import Dataset, open_dataset, read_manifest, write_bytes
from manifests.transfer import files_of, transfer
from manifests.verify import Options, verify
from pipeline.build import build
from pipeline.build_more import defaults_of, extend
from pipeline.config import BuildConfig, Dedup, RunOptions
from pipeline.references import read_reference, references_of
from pipeline.retry import RetryRequest, limits_of, retry
from pipeline.sample_web.server import Served
from tests.fakes import make_dataset
from tests.s3 import S3, serving_s3
from tests.web_folder import serving_folder


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(scope="module")
def both(
    s3: S3, served: Served, small_config: BuildConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dataset, Dataset]:
    """One dataset built on this machine, and to a store that fails now and then. What is fetched is the same:
    on a busy machine another picture may be late."""
    root = tmp_path_factory.mktemp("both")
    options = RunOptions(dataset=root / "small", work=root / "work", connect_to=served.connect_to, quiet=True)
    config = replace(small_config, pairs_per_shard=20)
    build(config, options)
    shutil.copytree(root / "work", root / "work-there", ignore=shutil.ignore_patterns("lock", "shards"))
    s3.share_of_faults = 0.05
    build(config, replace(options, dataset=location("s3://bucket/small"), work=root / "work-there"))
    return open_dataset(root / "small"), open_dataset("s3://bucket/small")


def files_there(root: Path) -> dict[str, bytes]:
    """The bytes of every file that a dataset's manifest lists, but for times."""
    names = [file.path for file in files_of(read_manifest(root)) if not file.path.startswith(FOLDER)]
    return {name: read_bytes(root / name) for name in names}


def test_a_build_to_a_store_is_the_local_build(both: tuple[Dataset, Dataset], s3: S3) -> None:
    here, there = both
    assert there.manifest.content_hash == here.manifest.content_hash
    assert files_there(there.root) == files_there(here.root)
    assert there.manifest.name == "small"
    assert list(verify(there.root, Options(deep=True))) == []
    assert s3.faults.total() > 0


@pytest.mark.parametrize("kind", ["s3", "http"])
def test_an_earlier_dataset_is_kept_out_wherever_it_lies(s3: S3, tmp_path: Path, kind: str) -> None:
    make_dataset(tmp_path / "earlier")
    transfer(tmp_path / "earlier", location(f"s3://bucket/{kind}/earlier"), tmp_path / "journal")
    with serving_folder(tmp_path) as web:
        place = f"s3://bucket/{kind}/earlier" if kind == "s3" else f"{web.url}/earlier"
        (reference,) = references_of(Dedup(against=(place,)))
        there = read_reference(reference.path)
    assert there.equals(read_reference(tmp_path / "earlier")) and len(there) == 8


def test_shards_that_nobody_has_published_are_not_mixed_with_a_builds_own(
    both: tuple[Dataset, Dataset], s3: S3, tmp_path: Path, small_config: BuildConfig
) -> None:
    place = location("s3://bucket/another")
    write_bytes(place / "shards/00000.tar", b"")
    with pytest.raises(ValueError, match=r"another/shards/00000\.tar is there already"):
        build(small_config, RunOptions(dataset=place, work=tmp_path, quiet=True))


def test_a_dataset_elsewhere_needs_a_work_folder_here() -> None:
    with pytest.raises(ValueError, match=r"is not on this machine.*Next: give --work DIR"):
        RunOptions(dataset=location("s3://bucket/dataset"))


def test_an_addition_grows_on_this_machine(
    both: tuple[Dataset, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    request = RetryRequest(dataset=both[1].root, work=location("s3://bucket/w"), where=("reason=timeout",))
    with pytest.raises(ValueError, match=r"an addition grows on this machine\. Next: --work DIR"):
        retry(request)


def test_a_retry_in_a_store_ends_with_what_it_ends_with_here(
    both: tuple[Dataset, Dataset], served: Served, tmp_path: Path
) -> None:
    for dataset in both:
        request = RetryRequest(
            dataset=dataset.root,
            work=tmp_path / "work",
            where=("reason=http_error",),
            fetch=replace(limits_of(dataset.root), max_tries=1),
            connect_to=served.connect_to,
            quiet=True,
        )
        retry(request)
    here, there = (read_manifest(dataset.root) for dataset in both)
    assert here.history and timeless(here) == timeless(there)
    assert files_there(both[0].root) == files_there(both[1].root)


@pytest.mark.slow
@pytest.mark.parametrize("share_of_faults", [0.05])
def test_an_addition_in_a_store_ends_with_what_it_ends_with_here(
    s3: S3, world: Path, served: Served, small_config: BuildConfig, tmp_path: Path, share_of_faults: float
) -> None:
    terms = (world / "queries.txt").read_text().splitlines()
    (tmp_path / "some.txt").write_text("\n".join(terms[::2]))
    options = RunOptions(dataset=tmp_path / "grown", connect_to=served.connect_to, quiet=True)
    build(replace(small_config, queries=str(tmp_path / "some.txt")), options)
    place = location("s3://bucket/grown")
    transfer(options.dataset, place, tmp_path / "journal")
    s3.share_of_faults = share_of_faults
    more = replace(defaults_of(place, new_terms=True), queries=small_config.queries)
    for root in (options.dataset, place):
        extend(more, replace(options, dataset=root, work=tmp_path / f"work-{len(str(root))}"))
    here, there = (read_manifest(root) for root in (options.dataset, place))
    assert here.history[-1].num_gained > 0 and timeless(here) == timeless(there)
    assert files_there(options.dataset) == files_there(place)
