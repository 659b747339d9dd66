"""Datasets in an object store: built there, looked at, added to and trained on as those on this machine."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from manifests.storage import location
from manifests.store import Dataset, open_dataset
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.sample_web.server import Served
from tests.s3 import S3, serving_s3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(scope="module")
def both(
    s3: S3, served: Served, small_config: BuildConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Dataset, Dataset]:
    """One dataset built on this machine, and by a store that fails now and then."""
    root = tmp_path_factory.mktemp("both")
    options = RunOptions(dataset=root / "small", connect_to=served.connect_to, quiet=True)
    config = replace(small_config, pairs_per_shard=20)
    build(config, options)
    s3.share_of_faults = 0.05
    build(config, replace(options, dataset=location("s3://bucket/small"), work=root / "work"))
    return open_dataset(root / "small"), open_dataset("s3://bucket/small")


def test_a_build_to_a_store_is_the_local_build(both: tuple[Dataset, Dataset], s3: S3) -> None:
    here, there = both
    assert there.manifest.content_hash == here.manifest.content_hash
    assert there.manifest.name == "small"
    assert s3.faults.total() > 0
