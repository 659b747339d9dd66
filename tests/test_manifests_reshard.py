"""The same pairs in shards of another size, against Python's own tar reader and a plain sort."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from manifests import spill
from manifests.__main__ import main
from manifests.gather import MAX_OPEN_TARS
from manifests.reshard import reshard
from manifests.store import open_dataset
from manifests.verify import verify
from tests.fakes import make_dataset, make_picture, make_rejection
from tests.test_manifests_select import members
from tests.test_manifests_takedown import DEEP, files, rows_of, with_fetch_times

NUM_PAIRS = 30
Row = dict[str, Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = make_dataset(
        tmp_path / "source",
        num_pairs=NUM_PAIRS,
        pairs_per_shard=7,
        rejections=[make_rejection("image_too_small")],
    )
    with_fetch_times(root)
    return root


def facts(rows: list[Row]) -> list[Row]:
    return [{name: value for name, value in row.items() if name != "offset"} for row in rows]


@pytest.mark.parametrize(
    ("size", "order"), [(1, "key"), (4, "key"), (7, "as-is"), (29, "as-is"), (31, "key")]
)
def test_shards_have_exactly_the_size_and_the_pairs_the_order(source: Path, size: int, order: str) -> None:
    out, before, rows = source.parent / "out", files(source), rows_of(source)
    flags = ["--out", str(out), "--pairs-per-shard", str(size), "--order", order]
    assert main(["reshard", str(source), *flags]) == 0
    assert list(verify(out, DEEP)) == []
    shards = open_dataset(out).manifest.shards
    assert [shard.num_pairs for shard in shards] == [
        min(size, NUM_PAIRS - start) for start in range(0, NUM_PAIRS, size)
    ]
    expected = sorted(rows, key=lambda row: row["key"]) if order == "key" else rows
    assert facts(rows_of(out)) == facts(expected)
    assert members(out) == members(source)
    assert files(source) == before


def test_pictures_and_fetch_times_lie_where_the_new_index_says(source: Path) -> None:
    reshard(open_dataset(source), source.parent / "out", 4)
    new = open_dataset(source.parent / "out")
    for shard in new.manifest.shards:
        rows = new.read_index(shard).to_pylist()
        assert [new.read_picture(shard, row) for row in rows] == [
            make_picture(int(row["caption"].split()[-1])) for row in rows
        ]
        times = pq.read_table(new.root / "fetch_times" / Path(shard.index.path).name)
        assert times["key"].to_pylist() == [row["key"] for row in rows]


def test_keys_are_also_sorted_in_many_ranges(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "PER_RANGE", 2)
    reshard(open_dataset(source), source.parent / "out", 4)
    keys = [row["key"] for row in rows_of(source.parent / "out")]
    assert keys == sorted(keys) and len(keys) == NUM_PAIRS


def test_more_shards_than_files_may_be_open(tmp_path: Path) -> None:
    source = make_dataset(tmp_path / "source", num_pairs=MAX_OPEN_TARS + 2, pairs_per_shard=1)
    reshard(open_dataset(source), tmp_path / "out", 100)
    assert list(verify(tmp_path / "out", DEEP)) == []


def test_there_and_back_is_the_same_content_but_for_the_end_of_tars(source: Path) -> None:
    first = reshard(open_dataset(source), source.parent / "first", 7)
    reshard(open_dataset(source), source.parent / "other", 4)
    again = reshard(open_dataset(source.parent / "other"), source.parent / "again", 7)
    assert again.content_hash == first.content_hash


def test_a_run_that_was_cut_short_goes_on_with_what_is_missing(source: Path, tmp_path: Path) -> None:
    whole = reshard(open_dataset(source), tmp_path / "whole" / "out", 4)
    out = tmp_path / "cut" / "out"
    reshard(open_dataset(source), out, 4)
    for name in ("manifest.json", "index/00003.parquet", "shards/00005.tar", "index/00005.parquet"):
        (out / name).unlink()
    before = (out / "index" / "00001.parquet").stat().st_mtime_ns
    assert reshard(open_dataset(source), out, 4).content_hash == whole.content_hash
    assert (out / "index" / "00001.parquet").stat().st_mtime_ns == before
    assert list(verify(out, DEEP)) == []


def test_everything_else_goes_with_the_pairs(source: Path) -> None:
    manifest = reshard(open_dataset(source), source.parent / "out", 4)
    assert manifest.funnel == open_dataset(source).manifest.funnel
    assert (source.parent / "out/rejections/00000.parquet").samefile(source / "rejections/00000.parquet")
    assert manifest.history[-1].request["pairs_per_shard"] == 4


def test_no_pairs_per_shard_are_refused(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--out", str(source.parent / "out"), "--pairs-per-shard", "0"]
    assert main(["reshard", str(source), *flags]) == 2
    assert "pairs-per-shard is 0: give 1 or more" in capsys.readouterr().err
