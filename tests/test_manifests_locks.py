"""A dataset is held by one process at a time, here and in a store."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from manifests.locks import held
from manifests.storage import location
from manifests.store import write_bytes
from tests.s3 import S3, serving_s3

THERE = "s3://bucket/held"


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3(share_of_faults=0.1) as s3:
        yield s3


@pytest.mark.parametrize("place", ["here", THERE])
def test_who_comes_second_is_told_whose_a_dataset_is(s3: S3, tmp_path: Path, place: str) -> None:
    dataset = location(place) if "://" in place else tmp_path / place
    with (
        held(dataset, tmp_path / "one"),
        pytest.raises(ValueError, match="another build is at work in"),
        held(dataset, tmp_path / "two"),
    ):
        pass
    with held(dataset, tmp_path / "two"):  # it was let go
        pass


def test_a_lock_that_a_killed_process_left_is_taken_up_in_its_work_folder_alone(
    s3: S3, tmp_path: Path
) -> None:
    dataset = location(THERE)
    with held(dataset, tmp_path / "one"):
        left = (dataset / "work/lock").read_bytes()
    write_bytes(dataset / "work/lock", left)
    told = f"go on there with --work {tmp_path}/one; where that is gone"
    with pytest.raises(ValueError, match=told), held(dataset, tmp_path / "two"):
        pass
    with held(dataset, tmp_path / "one"):
        assert json.loads(left)["owner"] == json.loads((dataset / "work/lock").read_bytes())["owner"]
    assert not (dataset / "work/lock").exists()


def test_a_work_folder_in_a_store_is_the_users_who_began_in_it(
    s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, work = location("s3://bucket/mine"), location("s3://bucket/my-work")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "me"))
    with held(dataset, work):
        left = {place: (place / "lock").read_bytes() for place in (dataset / "work", work)}
        with (
            pytest.raises(ValueError, match="another build is at work"),
            held(location("s3://bucket/b"), work),
        ):
            pass
    for place, lock in left.items():  # as a killed process leaves them
        write_bytes(place / "lock", lock)
    with held(dataset, work):
        pass
    write_bytes(work / "lock", left[work])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "somebody"))
    told = r"go on there with --work s3://bucket/my-work; where that is gone, remove s3://bucket/my-work/lock"
    with pytest.raises(ValueError, match=told), held(dataset, work):
        pass


def test_a_bucket_that_is_not_there_is_refused_in_one_line(s3: S3) -> None:
    told = r"nothing can be written to s3://elsewhere/dataset: .* Next: check"
    with pytest.raises(ValueError, match=told), held(location("s3://elsewhere/dataset")):
        pass
