"""Near-duplicates through Beam against comparing every picture with every other."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.hashes import hamming
from filters.sampling import pair_id
from manifests.store import write_table
from pipeline import blocks, dedup
from pipeline.config import Dedup
from pipeline.dedup import FindCopies
from pipeline.parts import parts_in
from pipeline.records import IMAGE_SCHEMA
from pipeline.runners import run
from pipeline.shards import keep_best
from pipeline.verdicts import judge_copies


def make_pictures(num_pictures: int) -> list[dict[str, Any]]:
    """Random hashes, a third of them near an earlier one, some with equal bytes."""
    rng = random.Random(1)
    rows: list[dict[str, Any]] = []
    for number in range(num_pictures):
        phash, sha256 = rng.getrandbits(64), f"{number:064x}"
        if rows and rng.random() < 0.35:
            near = rng.choice(rows)
            flipped = sum({1 << rng.randrange(64) for _ in range(rng.choice([0, 0, 2, 4, 5, 6]))})
            phash = int(near["phash"]) ^ flipped
            sha256 = str(near["sha256"]) if flipped == 0 and rng.random() < 0.5 else sha256
        # Three colourings, the second within 48 levels of both others; now and then none is known.
        colours = None if rng.random() < 0.1 else f"{rng.choice([40, 80, 120]):02x}0000" * 16
        url = f"http://a.test/{number}"
        rows.append(
            {
                **{"pair_id": pair_id(url, "c"), "key": pair_id(url, "k"), "url": url, "caption": "c"},
                **{"unit": f"unit{number % 3}", "phash": phash, "sha256": sha256, "source": "table"},
                "colours": colours,
                **{"original_width": rng.choice([100, 200]), "original_height": 100, "original_bytes": 9},
            }
        )
    return rows


def is_better(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return (-int(a["original_width"]), a["pair_id"]) < (-int(b["original_width"]), b["pair_id"])


def slow_reasons(rows: list[dict[str, Any]], max_difference: int | None) -> dict[str, str]:
    """First the best of each hash and colouring are chosen, best first; then those of other hashes speak."""
    reasons: dict[str, str] = {}
    chosen: list[dict[str, Any]] = []
    for row in sorted(rows, key=lambda row: (-int(row["original_width"]), row["pair_id"])):
        better = [other for other in rows if other is not row and is_better(other, row)]
        equal = [other for other in chosen if other["phash"] == row["phash"]]
        if any(other["sha256"] == row["sha256"] for other in better):
            reasons[row["pair_id"]] = "exact_duplicate"
        elif any(slow_agree(row, other, max_difference) for other in equal):
            reasons[row["pair_id"]] = "near_duplicate"
        else:
            chosen.append(row)
    for row in chosen:
        others = (other for other in chosen if is_better(other, row) and other["phash"] != row["phash"])
        near = (other for other in others if hamming(other["phash"], row["phash"]) <= 4)
        if any(slow_agree(row, other, max_difference) for other in near):
            reasons[row["pair_id"]] = "near_duplicate"
    return reasons


def slow_agree(one: dict[str, Any], other: dict[str, Any], max_difference: int | None) -> bool:
    if max_difference is None or one["colours"] is None or other["colours"] is None:
        return True
    return abs(int(one["colours"][:2], 16) - int(other["colours"][:2], 16)) <= max_difference


@pytest.mark.parametrize("max_difference", [None, 48])
def test_every_picture_gets_the_verdict_of_the_slow_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, max_difference: int | None
) -> None:
    monkeypatch.setattr(blocks, "ROWS_PER_BUCKET", 100)  # several buckets
    monkeypatch.setattr(dedup, "HASHES_PER_GROUP", 50)
    rows = make_pictures(600)
    for unit in ("unit0", "unit1", "unit2"):
        table = pa.Table.from_pylist([row for row in rows if row["unit"] == unit], schema=IMAGE_SCHEMA)
        write_table(tmp_path / "in" / f"{unit}.parquet", table)
    config = Dedup(max_distance=4, max_colour_difference=max_difference)
    run(FindCopies(parts_in(tmp_path / "in"), config, tmp_path / "out"), workers=1)
    judge_copies(tmp_path / "out", tmp_path / "verdicts")
    verdicts = [row for file in (tmp_path / "verdicts").glob("*") for row in pq.read_table(file).to_pylist()]
    dropped = {row["pair_id"]: row for row in verdicts if row["kept_key"]}
    assert {p: v["reason"] for p, v in dropped.items()} == slow_reasons(rows, max_difference)
    kept_keys = {row["key"] for row in rows if row["pair_id"] not in dropped}
    assert {verdict["kept_key"] for verdict in dropped.values()} <= kept_keys
    assert sum(row["num_duplicates"] for row in verdicts) == len(dropped) > 100


def test_captions_of_copies_go_to_the_picture_that_is_kept(tmp_path: Path) -> None:
    rows = make_pictures(1) * 3
    rows = [
        row | {"pair_id": f"{number:032x}", "caption": f"caption {number}"} for number, row in enumerate(rows)
    ]
    write_table(tmp_path / "in" / "unit0.parquet", pa.Table.from_pylist(rows, schema=IMAGE_SCHEMA))
    run(FindCopies(parts_in(tmp_path / "in"), Dedup(keep_captions=True), tmp_path / "out"), workers=1)
    judge_copies(tmp_path / "out", tmp_path / "verdicts")
    keep_best(parts_in(tmp_path / "in")[0], tmp_path / "verdicts", tmp_path / "kept")
    (kept,) = pq.read_table(tmp_path / "kept" / "unit0.parquet").to_pylist()
    assert (kept["caption"], kept["extra_captions"]) == ("caption 0", ["caption 1", "caption 2"])
