"""Rejections gathered by workers: the same tables, counts and samples as from all rows at once."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.sampling import priority
from manifests.schema import REJECTION_SCHEMA, SAMPLE_SCHEMA, SAMPLES_PER_REASON
from manifests.store import record_file, write_table
from pipeline import rejected
from pipeline.rejected import Batch, batches_of, gather, samples_of
from pipeline.runners import run

NUM_FILES, ROWS = 7, 150
KINDS = (("fetch", "timeout"), ("fetch", "http_error"), ("image", "image_too_small"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Tables of what was dropped, some with a picture; one URL and caption stands in several."""
    folder, rng = tmp_path_factory.mktemp("dropped"), np.random.default_rng(0)
    for number in range(NUM_FILES):
        rows = []
        for place in range(ROWS):
            stage, reason = KINDS[rng.integers(len(KINDS))]
            row = dict.fromkeys(SAMPLE_SCHEMA.names) | {"stage": stage, "reason": reason, "source": "table"}
            row |= {
                "url": f"http://a.test/{rng.integers(400)}",
                "caption": "a cup",
                "detail": f"{number} {place}",
            }
            rows.append(row | {"thumbnail": b"a picture" if rng.random() < 0.05 else None})
        write_table(folder / f"{number}.parquet", pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    return sorted(folder.glob("*.parquet"))


def rows_of(files: list[Path]) -> list[dict[str, Any]]:
    return [row for file in files for row in pq.read_table(file).to_pylist()]


def test_samples_are_the_first_of_each_reason_by_hash_those_with_a_picture_before(
    files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(files)
    rows.sort(
        key=lambda row: (row["thumbnail"] is None, priority(f"{row['url']}\n{row['caption']}", "sample"))
    )
    kinds = sorted(KINDS)
    slow = [
        row
        for kind in kinds
        for row in [row for row in rows if (row["stage"], row["reason"]) == kind][:SAMPLES_PER_REASON]
    ]
    assert samples_of(files).to_pylist() == slow
    monkeypatch.setattr(rejected, "ROWS_AT_ONCE", 200)
    assert samples_of(files).to_pylist() == slow


def test_tables_are_cut_at_whole_files_and_numbered_on(files: list[Path]) -> None:
    some = batches_of(files, 2 * ROWS, first=5)
    assert some[0] == Batch("00005", (files[0], files[1]))
    assert [len(batch.files) for batch in some] == [2, 2, 2, 1]
    assert batches_of([], 1) == []


@pytest.mark.parametrize("rows_per_table", [2 * ROWS, 10 * ROWS])
def test_what_workers_gather_is_what_all_rows_say(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_per_table: int
) -> None:
    monkeypatch.setattr(rejected, "ROWS_PER_TABLE", rows_per_table)
    found = gather(files, tmp_path, tmp_path / "work", lambda transform: run(transform, 1))
    tables, counts, samples = found
    whole = pa.concat_tables(pq.read_table(tmp_path / table.path) for table in tables)
    rows = rows_of(files)
    assert whole.to_pylist() == [{name: row[name] for name in REJECTION_SCHEMA.names} for row in rows]
    assert tables == [record_file(tmp_path, tmp_path / table.path) for table in tables]
    assert counts == Counter((row["stage"], row["reason"]) for row in rows)
    assert samples_of(samples) == samples_of(files)


def test_nothing_dropped_leaves_no_table(tmp_path: Path) -> None:
    write_table(tmp_path / "work/00000.parquet", SAMPLE_SCHEMA.empty_table())  # of an earlier attempt
    assert gather([], tmp_path, tmp_path / "work", lambda transform: run(transform, 1)) == ([], Counter(), [])
    assert samples_of([]) == SAMPLE_SCHEMA.empty_table()
