"""Selections by a condition, a list of keys and caps, each against the slow obvious version."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests import subset
from manifests.__main__ import main
from manifests.schema import INDEX_SCHEMA
from manifests.store import open_dataset
from manifests.verify import verify
from manifests.where import Where
from tests.fakes import make_dataset
from tests.test_manifests_select import members
from tests.test_manifests_takedown import DEEP, files, rows_of, with_fetch_times

NUM_PAIRS = 40
Row = dict[str, Any]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = make_dataset(tmp_path / "source", num_pairs=NUM_PAIRS, pairs_per_shard=8)
    with_fetch_times(root)
    return root


def select(source: Path, *flags: str) -> list[Row]:
    out = source.parent / "out"
    assert main(["select", str(source), "--out", str(out), *flags]) == 0
    assert list(verify(out, DEEP)) == []
    return rows_of(out)


def keys(rows: list[Row]) -> list[str]:
    return [row["key"] for row in rows]


@pytest.mark.parametrize(
    ("sql", "slow"),
    [
        ("original_width > 128", lambda row: row["original_width"] > 128),
        ("licence is null", lambda row: row["licence"] is None),
        ("licence = 'CC BY 4.0'", lambda row: row["licence"] == "CC BY 4.0"),
        ("caption like '%red%' and width = 64", lambda row: "red" in row["caption"]),
        ("list_contains(query_ids, 3)", lambda row: 3 in row["query_ids"]),
        ("pairs.url like 'https://host1%'", lambda row: "host1" in row["url"]),
        ("1 = 1", lambda row: True),
        ("author = 'nobody'", lambda row: False),
        ("scores['clip'] > 0.5", lambda row: False),
    ],
)
def test_a_condition_keeps_what_it_is_true_of(source: Path, sql: str, slow: Callable[[Row], bool]) -> None:
    expected = [row["key"] for row in rows_of(source) if slow(row)]
    assert keys(select(source, "--where", sql)) == expected


def test_members_and_fetch_times_go_with_the_pairs_and_whole_shards_are_linked(source: Path) -> None:
    rows, before = rows_of(source), files(source)
    (source.parent / "keys.txt").write_text("# mine\n" + "\n".join(keys(rows[8:16]) + keys(rows[30:33])))
    kept = select(source, "--ids", str(source.parent / "keys.txt"))
    out = source.parent / "out"
    assert keys(kept) == keys(rows[8:16]) + keys(rows[30:33])
    old = members(source)
    assert members(out) == {name: old[name] for name in old if name.partition(".")[0] in keys(kept)}
    assert (out / "shards/00000.tar").samefile(source / "shards/00001.tar")
    times = [pq.read_table(path)["key"].to_pylist() for path in sorted((out / "fetch_times").iterdir())]
    assert times == [keys(kept)[:8], keys(kept)[8:10], keys(kept)[10:]]
    assert files(source) == before
    assert open_dataset(out).manifest.funnel[-1].dropped == {"not_selected": NUM_PAIRS - 11}


@pytest.mark.parametrize("number", [1, 7, 39, 40, 100])
def test_so_many_pairs_are_those_of_the_lowest_keys(source: Path, number: int) -> None:
    rows = rows_of(source)
    lowest = sorted(keys(rows))[:number]
    assert keys(select(source, "--max-pairs", str(number))) == [key for key in keys(rows) if key in lowest]


def test_so_many_are_also_found_where_many_keys_share_their_bucket(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subset, "BUCKET_BITS", 1)
    rows = [row for row in rows_of(source) if row["licence"]]
    lowest = set(sorted(keys(rows))[:9])
    found = select(source, "--where", "licence is not null", "--max-pairs", "9")
    assert set(keys(found)) == lowest


def test_a_cap_keeps_pairs_while_one_of_their_terms_has_room(source: Path) -> None:
    counts, expected = Counter[int](), []
    for row in rows_of(source):
        if any(counts[term] < 3 for term in row["query_ids"]):
            counts.update(row["query_ids"])
            expected.append(row["key"])
    assert keys(select(source, "--per-query-cap", "3")) == expected
    assert 3 < len(expected) < NUM_PAIRS


def test_indexes_of_earlier_versions_lack_columns_which_are_null(tmp_path: Path) -> None:
    path = tmp_path / "index.parquet"
    pq.write_table(pa.table({"key": ["a", "b"], "width": pa.array([1, 2], pa.int32())}), path)
    assert Where("colours is null and width > 1").mask_of(path).tolist() == [False, True]


def test_only_the_columns_of_the_condition_are_read() -> None:
    assert Where("pairs.width > 3 or Height < 2").columns == ["width", "height"]
    assert Where("scores['a'] > 0.5").columns == ["scores"]
    assert set(INDEX_SCHEMA.names) >= set(Where("true").columns)


def test_the_same_command_again_changes_nothing_and_another_is_refused(source: Path) -> None:
    select(source, "--where", "original_width > 128")
    before = files(source.parent / "out")
    select(source, "--where", "original_width > 128")
    assert files(source.parent / "out") == before
    assert main(["select", str(source), "--out", str(source.parent / "out"), "--max-pairs", "3"]) == 2


def test_a_dry_run_says_how_many(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["select", str(source), "--max-pairs", "7", "--dry-run"]) == 0
    assert capsys.readouterr().out == "7 of 40 pairs would stay\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "nothing to select by: give --where"),
        (["--where", "widht > 3"], 'Referenced column "widht" not found'),
        (["--where", "width >"], "syntax error"),
        (["--where", "width > avg(width)"], "where 'width > avg(width)'"),
        (["--where", "width in (select 1)"], "is about several rows"),
        (["--where", "row_number() over () < 3"], "is about several rows"),
        (["--where", "true), (false"], "is more than one condition"),
        (["--where", "true) from pairs; drop table pairs; select (true"], "is more than one condition"),
        (["--where", "caption"], None),
        (["--max-pairs", "0"], "max-pairs is 0: give 1 or more"),
        (["--ids", "missing.txt"], "--ids missing.txt cannot be read"),
    ],
)
def test_a_wrong_request_is_one_line(
    source: Path, capsys: pytest.CaptureFixture[str], flags: list[str], message: str | None
) -> None:
    assert main(["select", str(source), "--out", str(source.parent / "out"), *flags]) == 2
    said = capsys.readouterr().err
    assert (message or "where 'caption'") in said and said.count("\n") == 1
    assert not (source.parent / "out").exists()
