"""Fetch times beside the index, and the dates of a manifest: read, looked up, checked, joined, left out."""

import datetime
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.dates import dates_of, joined, timeless
from manifests.fetch_times import (
    fetch_times_of,
    fetch_times_path,
    fetch_times_problem,
    read_fetch_times,
    record_fetch_times,
)
from manifests.schema import FETCH_TIME_SCHEMA, Change, Dates
from manifests.store import Dataset, open_dataset, read_manifest, record_file, write_manifest, write_table
from tests.fakes import make_dataset

FIRST = datetime.datetime(2026, 11, 21, 6, 0, tzinfo=datetime.UTC)


def times_of(dataset: Dataset, number: int, first: datetime.datetime | None = FIRST) -> pa.Table:
    """Made-up times of a shard, a second apart."""
    keys = dataset.read_index(dataset.manifest.shards[number])["key"].to_pylist()
    times = [first and first + datetime.timedelta(hours=number, seconds=row) for row in range(len(keys))]
    return pa.table([keys, times], schema=FETCH_TIME_SCHEMA)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three shards, of which the last has no times."""
    opened = open_dataset(make_dataset(tmp_path / "dataset", num_pairs=12))
    for number, shard in enumerate(opened.manifest.shards[:2]):
        write_table(fetch_times_path(opened.root, shard), times_of(opened, number))
    return opened


def test_times_are_those_of_the_shard_or_none(dataset: Dataset) -> None:
    found = [read_fetch_times(dataset.root, shard) for shard in dataset.manifest.shards]
    assert found == [times_of(dataset, 0), times_of(dataset, 1), None]
    records = list(record_fetch_times(dataset.root, dataset.manifest.shards))
    assert [record.path for record in records] == ["fetch_times/00000.parquet", "fetch_times/00001.parquet"]


def test_pairs_of_several_shards_keep_their_times_in_their_new_order(dataset: Dataset) -> None:
    first, second, third = (dataset.read_index(shard)["key"] for shard in dataset.manifest.shards)
    keys = pa.chunked_array([[second[3].as_py(), third[0].as_py(), first[1].as_py()]])
    found = fetch_times_of(keys, [times_of(dataset, 0), times_of(dataset, 1)])
    times = [times_of(dataset, number)["fetched_at"].to_pylist() for number in (0, 1)]
    known = [times[1][3], None, times[0][1]]
    assert found == pa.table([keys, known], schema=FETCH_TIME_SCHEMA)
    assert len(fetch_times_of(keys.slice(3), [])) == 0


def test_times_of_other_pairs_or_other_columns_are_told(dataset: Dataset) -> None:
    shard, times = dataset.manifest.shards[0], times_of(dataset, 0)
    keys = dataset.read_index(shard)["key"]
    assert fetch_times_problem(dataset.root, shard, keys) is None
    assert fetch_times_problem(dataset.root, dataset.manifest.shards[2], keys) is None
    for wrong, said in (
        (times.slice(1), "its keys are not those of the index, in its order"),
        (times.take([1, 0, 2, 3]), "its keys are not those of the index, in its order"),
        (times.drop_columns(["fetched_at"]), "has other columns than the format's"),
    ):
        write_table(fetch_times_path(dataset.root, shard), wrong)
        assert fetch_times_problem(dataset.root, shard, keys) == said


def test_dates_are_the_first_and_the_last_of_all_pictures(dataset: Dataset) -> None:
    shards = dataset.manifest.shards
    found = dates_of(dataset.root, "2026-11-21T05:00:00+00:00", shards)
    assert (found.fetched_from, found.fetched_to) == (
        "2026-11-21T06:00:00+00:00",
        "2026-11-21T07:00:03+00:00",
    )
    write_table(fetch_times_path(dataset.root, shards[0]), times_of(dataset, 0, first=None))
    assert dates_of(dataset.root, None, shards).fetched_from == "2026-11-21T07:00:00+00:00"
    assert dates_of(dataset.root, None, shards[2:]).fetched_to is None


def test_dates_of_an_addition_reach_from_the_first_to_the_last() -> None:
    built = Dates(begun="1", fetched_from="2", fetched_to="3", finished="4")
    added = Dates(begun=None, fetched_from=None, fetched_to="5", finished="6")
    assert joined([built, added, None]) == Dates(begun="1", fetched_from="2", fetched_to="5", finished="6")
    assert joined([None, None]) is None


def test_a_manifest_without_its_times_is_that_of_an_equal_build(dataset: Dataset) -> None:
    change = Change(kind="retry", request={}, num_tried=0, num_gained=0, dropped={}, at="now")
    write_table(dataset.root / "kept.parquet", pa.table({"a": [1]}))
    kept = record_file(dataset.root, dataset.root / "kept.parquet")
    shards, dates = dataset.manifest.shards, dates_of(dataset.root, None, dataset.manifest.shards)
    files = (kept, *record_fetch_times(dataset.root, shards))
    timed = replace(dataset.manifest, created_at="now", dates=dates, history=(change,), files=files)
    plain = replace(timed, created_at="", dates=None, history=(replace(change, at=None),), files=(kept,))
    assert timeless(timed) == plain
    write_manifest(dataset.root, timed)
    assert read_manifest(dataset.root) == timed
