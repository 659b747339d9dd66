"""What differs between two datasets, each figure against the slow obvious version."""

import json
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pytest

from manifests import spill
from manifests.__main__ import main
from manifests.diff.pairs import NOT_SEEN, OTHER_PICTURE, OneSided, diff_pairs
from manifests.spill import MayHold, Spill, glimpses, is_among, key_numbers, places_in
from manifests.store import Dataset, open_dataset
from tests.bare_datasets import Row, pair, rejected, write_bare
from tests.bench.synthetic import write_synthetic

NUMBERS = np.random.default_rng(7).integers(0, 2**64, 5000, np.uint64)


def slow_lost(old: Dataset, new: Dataset) -> dict[str, str]:
    """The key of each pair that only the old dataset has, and what the new one says: all in dictionaries."""
    mine, theirs = rows_of(old), rows_of(new)
    stages = [stage.stage for stage in new.manifest.funnel]
    pairs = {(row["url"], row["caption"]) for row in theirs.values() if row["key"] not in mine}
    said: dict[tuple[str, str], tuple[int, str]] = {}
    for file in new.manifest.files:
        if file.path.startswith("rejections/"):
            for row in spill_table(new.root / file.path):
                why = stages.index(row["stage"]), f"{row['stage']}: {row['reason']}"
                name = (row["url"], row["caption"])
                said[name] = max(said.get(name, why), why, key=lambda each: each[0])
    found = {}
    for key in sorted(mine.keys() - theirs.keys()):
        name = (mine[key]["url"], mine[key]["caption"])
        found[key] = OTHER_PICTURE if name in pairs else said[name][1] if name in said else NOT_SEEN
    return found


def spill_table(path: Path) -> list[Row]:
    rows: list[Row] = pa.parquet.read_table(path).to_pylist()
    return rows


def rows_of(dataset: Dataset) -> dict[str, Row]:
    shards = dataset.manifest.shards
    return {row["key"]: row for shard in shards for row in dataset.read_index(shard).to_pylist()}


def two_datasets(folder: Path) -> tuple[Dataset, Dataset]:
    """An old dataset, and a new one that shares a shard and has lost, gained and changed pairs."""
    shared, old = [pair(n) for n in range(50)], [pair(n) for n in range(50, 120)]
    new = [pair(n) for n in range(60, 110)] + [pair(n, "sharper") for n in range(110, 115)] + [pair(200)]
    dropped = [rejected(50, "fetch", "timeout"), rejected(51, "fetch", "timeout")]
    dropped += [
        rejected(52, "cap", "over_cap"),
        rejected(52, "dedup", "near_duplicate"),
        rejected(61, "cap", "x"),
    ]
    before = [rejected(200, "fetch", "http_error")]
    return (
        write_bare(folder / "old", [shared, old], before, terms=("thing", "cat")),
        write_bare(
            folder / "new", [new, shared], dropped, terms=("dog", "thing"), config={"cap": {"rule": "soft"}}
        ),
    )


@pytest.mark.parametrize("per_range", [4_000_000, 8])
def test_lost_and_gained_pairs_are_those_of_the_slow_obvious_version(
    tmp_path: Path, per_range: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spill, "PER_RANGE", per_range)  # in one range, and in sixteen
    old, new = two_datasets(tmp_path)
    (tmp_path / "spilled").mkdir()
    lost, gained = diff_pairs(old, new, tmp_path / "spilled")
    assert list(lost.explained()) == list(slow_lost(old, new).items())
    assert list(gained.explained()) == list(slow_lost(new, old).items())
    assert (lost.num_pairs, gained.num_pairs) == (20, 6)


def test_reasons_are_of_the_latest_stage_and_counted(tmp_path: Path) -> None:
    old, new = two_datasets(tmp_path)
    (tmp_path / "spilled").mkdir()
    lost, gained = diff_pairs(old, new, tmp_path / "spilled")
    assert lost.reasons == {NOT_SEEN: 12, OTHER_PICTURE: 5, "fetch: timeout": 2, "dedup: near_duplicate": 1}
    assert gained.reasons == {OTHER_PICTURE: 5, "fetch: http_error": 1}
    assert isinstance(lost, OneSided)


def test_the_command_says_everything_that_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_datasets(tmp_path)
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new"), "--json", "--keys"]) == 1
    summary, *keys = map(json.loads, capsys.readouterr().out.splitlines())
    assert summary["config"] == [{"field": "cap.rule", "old": None, "new": "soft"}]
    assert summary["terms"] == {"added": ["dog"], "removed": ["cat"]}
    assert {"field": "fetch: timeout", "old": None, "new": 2} in summary["funnel"]
    assert len(keys) == summary["lost"]["num_pairs"] + summary["gained"]["num_pairs"] == 26


def test_the_same_dataset_differs_in_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    two_datasets(tmp_path)
    for root in ("again", "old"):  # other files of the same rows, too
        write_bare(tmp_path / root, [[pair(number) for number in range(9)]])
    assert main(["diff", str(tmp_path / "again"), str(tmp_path / "old")]) == 0
    assert capsys.readouterr().out.startswith("no difference")


def test_what_is_no_dataset_is_a_wrong_request(tmp_path: Path) -> None:
    assert main(["diff", str(tmp_path), str(tmp_path)]) == 2


def test_a_damaged_key_is_told_of_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bare(tmp_path / "old", [[pair(1)]])
    write_bare(tmp_path / "new", [[{**pair(1), "key": "short"}]])
    assert main(["diff", str(tmp_path / "old"), str(tmp_path / "new")]) == 2
    assert "a key must have 32 hex digits" in capsys.readouterr().err


def test_spilled_numbers_come_back_in_order(tmp_path: Path) -> None:
    spilled = Spill(tmp_path / "spilled", range_bits=4, width=2)
    records = np.column_stack([NUMBERS, np.arange(len(NUMBERS), dtype=np.uint64)])
    for part in np.array_split(records, 7):
        spilled.add(part)
    together = np.concatenate(list(spilled.ranges()))
    assert (together == records[np.argsort(NUMBERS)]).all()


def test_a_filter_forgets_nothing() -> None:
    some, others = NUMBERS[:2500], NUMBERS[2500:]
    may_hold = MayHold(len(some))
    may_hold.add(some)
    assert may_hold.mask(some).all()
    assert may_hold.mask(others).mean() < 0.2


def test_places_in_a_sorted_array_are_those_of_a_list() -> None:
    some = np.sort(NUMBERS[:40] % np.uint64(50))
    asked = np.arange(60, dtype=np.uint64)
    expected = [some.tolist().index(each) if each in some else -1 for each in asked.tolist()]
    assert places_in(asked, some).tolist() == expected
    assert is_among(asked, some).tolist() == [each >= 0 for each in expected]


def test_a_glimpse_is_the_same_wherever_a_pair_stands_and_others_differ() -> None:
    urls = [f"https://host.example/{number}.jpg" for number in range(500)] + ["", "a", None, "é"]
    captions = [f"caption {number % 7}" for number in range(500)] + ["short", "", None, "x"]
    table = pa.table({"url": urls, "caption": captions})
    whole = glimpses(table["url"], table["caption"]).tolist()
    parts = [table.slice(start, 9) for start in range(0, 504, 9)]
    assert [each for part in parts for each in glimpses(part["url"], part["caption"]).tolist()] == whole
    assert len(set(whole)) == len(whole)


def test_keys_as_numbers_are_those_that_int_reads() -> None:
    keys = [pair(number)["key"] for number in range(100)]
    sliced: Any = pa.chunked_array([keys[:30], keys[30:]]).slice(20, 50)
    expected = [[int(key[:16], 16), int(key[16:], 16)] for key in keys[20:70]]
    assert key_numbers(sliced).tolist() == expected


@pytest.mark.parametrize("command", ["show", "diff", "card", "croissant"])
def test_datasets_in_a_store_are_looked_at_as_those_on_this_machine(
    tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    two_datasets(tmp_path)
    far = fsspec.filesystem("memory")
    far.put(str(tmp_path), f"/{command}", recursive=True)
    names = ["old", "new"] if command == "diff" else ["new"]
    said = []
    for root in (str(tmp_path), f"memory://{command}"):
        status = main([command, *(f"{root}/{name}" for name in names)])
        said.append((status, capsys.readouterr().out.replace(root, "")))
    assert said[0] == said[1]
    if command in ("card", "croissant"):
        written = said[0][1].strip().removeprefix("/")
        assert far.cat(f"/{command}/{written}") == (tmp_path / written).read_bytes()


def test_two_synthetic_datasets_differ_in_a_tenth_of_their_pairs(tmp_path: Path) -> None:
    for seed, name in enumerate(("old", "new")):
        write_synthetic(tmp_path / name, num_shards=10, pairs_per_shard=40, seed=seed)
    old, new = (open_dataset(tmp_path / name) for name in ("old", "new"))
    (tmp_path / "spilled").mkdir()
    lost, gained = diff_pairs(old, new, tmp_path / "spilled")
    assert lost.num_pairs == gained.num_pairs == 40
    assert NOT_SEEN not in lost.reasons and sum(lost.reasons.values()) == 40
