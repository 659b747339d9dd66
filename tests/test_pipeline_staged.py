"""Pictures from a store, in few requests, are the pictures that were staged there."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from manifests.storage import location, read_bytes
from manifests.store import write_bytes
from pipeline import staged
from pipeline.staged import gather, runs_of, staged_here
from tests.s3 import S3, serving_s3

UNITS, PICTURES = 3, 60


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


@pytest.fixture(scope="module")
def rows(s3: S3) -> pa.Table:
    """Rows of pictures in some tars, in an order that is not theirs."""
    rng, found = np.random.default_rng(0), []
    for unit in range(UNITS):
        sizes = rng.integers(1, 3_000, PICTURES)
        write_bytes(location(f"s3://bucket/staged/{unit}.tar"), rng.bytes(int(sizes.sum())))
        starts = np.cumsum(sizes) - sizes
        found += [
            {"unit": str(unit), "offset": start, "num_bytes": size}
            for start, size in zip(starts.tolist(), sizes.tolist(), strict=True)
        ]
    schema = pa.schema({"unit": pa.string(), "offset": pa.int64(), "num_bytes": pa.int64()})
    return pa.Table.from_pylist(found, schema=schema).take(pa.array(rng.permutation(len(found))[::2]))


def one_by_one(rows: pa.Table) -> list[bytes]:
    """The slow, obvious way."""
    folder = location("s3://bucket/staged")
    return [
        read_bytes(folder / f"{row['unit']}.tar", row["offset"], row["offset"] + row["num_bytes"])
        for row in rows.to_pylist()
    ]


@pytest.mark.parametrize(("gap", "run", "at_once"), [(128 << 10, 8 << 20, 64 << 20), (500, 9_000, 20_000)])
def test_gathered_pictures_are_those_that_are_asked_for_one_by_one(
    rows: pa.Table, monkeypatch: pytest.MonkeyPatch, gap: int, run: int, at_once: int
) -> None:
    for name, value in (("MAX_GAP_BYTES", gap), ("MAX_RUN_BYTES", run), ("MAX_BYTES_AT_ONCE", at_once)):
        monkeypatch.setattr(staged, name, value)
    with io.BytesIO() as file:
        places = gather(rows, location("s3://bucket/staged"), file)
        data = file.getvalue()
    sizes = rows["num_bytes"].to_pylist()
    found = [data[place : place + size] for place, size in zip(places.tolist(), sizes, strict=True)]
    assert found == one_by_one(rows)


def test_neighbours_take_one_request(s3: S3, rows: pa.Table) -> None:
    s3.requests.clear()
    gather(rows, location("s3://bucket/staged"), io.BytesIO())
    assert s3.requests["GET"] == UNITS


def test_what_lies_far_apart_is_not_read_together() -> None:
    starts = [0, 10, 10 + staged.MAX_GAP_BYTES + 11, 3 * staged.MAX_RUN_BYTES]
    assert [run.rows for run in runs_of(["a"] * 4, starts, [10] * 4)] == [[0, 1], [2], [3]]


def test_a_tar_that_ends_too_early_is_told(rows: pa.Table) -> None:
    last = pa.Table.from_pylist([{"unit": "0", "offset": 1 << 20, "num_bytes": 9}], schema=rows.schema)
    with pytest.raises(OSError), staged_here(last, location("s3://bucket/staged")):
        pass


def test_on_this_machine_nothing_is_copied(rows: pa.Table, tmp_path: Path) -> None:
    with staged_here(rows, tmp_path) as (same, folder):
        assert same is rows
        assert folder == tmp_path
