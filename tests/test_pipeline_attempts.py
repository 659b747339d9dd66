"""Several attempts at one unit: one wins, and all that counts is its own."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from filters.reasons import Drop, Reason
from manifests.storage import location, read_bytes, remove_folder
from manifests.store import write_bytes
from pipeline.attempts import new_attempt, write_once
from pipeline.parts import Part, count_rejections, parts_in, rejection_files
from pipeline.records import Candidate, Rejection, reject
from tests.s3 import S3, serving_s3

UNIT = "07-00000-00002"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3(share_of_faults=0.05) as s3:
        yield s3


@pytest.fixture
def folder(s3: S3) -> Iterator[Path]:
    folder = location("s3://bucket/attempts/fetched")
    yield folder
    remove_folder(folder)


def rejected(number: int) -> list[Rejection]:
    pairs = [Candidate(url=f"http://a.example/{n}", caption="a cup", source="table") for n in range(number)]
    return [reject("fetch", Drop(Reason.TIMEOUT, "20 s"), pair) for pair in pairs]


def staged(folder: Path, picture: bytes) -> str:
    """Leave the tar of an attempt."""
    attempt = new_attempt(folder, UNIT)
    write_bytes(folder / f"{attempt}.tar", picture)
    return attempt


def test_of_two_attempts_the_first_to_write_its_rows_wins_with_all_that_is_its_own(folder: Path) -> None:
    one, other = staged(folder, b"one"), staged(folder, b"other")
    assert write_once(folder, UNIT, one, pa.table({"unit": [one]}), rejected(2))
    assert not write_once(folder, UNIT, other, pa.table({"unit": [other]}), rejected(3))
    (row,) = Part(folder, UNIT).rows().to_pylist()
    assert read_bytes(folder / f"{row['unit']}.tar") == b"one"
    assert not (folder / f"{other}.tar").exists()
    assert count_rejections(rejection_files(folder)) == {("fetch", "timeout"): 2}
    assert [part.name for part in parts_in(folder)] == [UNIT]


def test_what_a_killed_attempt_has_left_does_not_count(folder: Path) -> None:
    killed, later = staged(folder, b"killed"), staged(folder, b"later")
    assert write_once(folder, UNIT, killed, pa.table({"unit": [killed]}), rejected(3))
    (folder / f"{UNIT}.parquet").unlink()  # as if it had been killed before its rows
    assert write_once(folder, UNIT, later, pa.table({"unit": [later]}), [])
    assert count_rejections(rejection_files(folder)) == {}


def test_an_attempt_whose_answer_was_lost_knows_its_own_rows(folder: Path) -> None:
    attempt = staged(folder, b"picture")
    for _ in range(2):
        assert write_once(folder, UNIT, attempt, pa.table({"unit": [attempt]}), rejected(1))
    assert read_bytes(folder / f"{attempt}.tar") == b"picture"


def test_on_this_machine_a_unit_has_the_names_that_it_always_had(tmp_path: Path) -> None:
    attempt = new_attempt(tmp_path, UNIT)
    assert write_once(tmp_path, UNIT, attempt, pa.table({"unit": [attempt]}), rejected(1))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{UNIT}.parquet", f"{UNIT}.rejections.parquet"}
