"""A build to a store that fails, killed anywhere: a whole dataset is there or none, in the end the same."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from manifests.dates import timeless
from manifests.storage import location
from manifests.store import MANIFEST_NAME, open_dataset, record_file
from manifests.transfer import files_of, transfer
from pipeline.sample_web.server import Served
from tests.s3 import serving_s3
from tests.test_pipeline_killed import start

FLAGS = ("--pairs-per-shard", "3")  # many files to copy


def is_absent_or_whole(place: Path) -> bool:
    """Return whether a dataset is there, all of whose files are what its manifest says; none may be there."""
    if not (place / MANIFEST_NAME).exists():
        return False
    dataset = open_dataset(place)
    for file in files_of(dataset.manifest):
        assert record_file(place, place / file.path) == file
    return True


def killed(process: subprocess.Popen[bytes], work: Path, rng: random.Random) -> bool:
    """Kill a build at a random moment, every other time as it copies; return whether it was still at it."""
    seconds = rng.uniform(0.5, 12.0)
    if rng.random() < 0.5:
        while not (work / "transferred.txt").exists() and process.poll() is None:
            time.sleep(0.02)
        seconds = rng.uniform(0.0, 3.0)
    try:
        assert process.wait(seconds) == 0
        return False
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        return True


def retry(served: Served, place: Path, work: Path) -> subprocess.Popen[bytes]:
    """Start a retry of what was not found."""
    command = [
        *(sys.executable, "-m", "pipeline", "retry", "--dataset", str(place), "--work", str(work), "--quiet"),
        *("--where", "reason=http_error", "--connect-to", *served.connect_to),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.slow
@pytest.mark.parametrize(("num_kills", "share_of_faults"), [(8, 0.05)])
def test_a_retry_in_a_store_that_is_killed_ends_with_what_it_ends_with_undisturbed(
    world: Path, served: Served, tmp_path: Path, num_kills: int, share_of_faults: float
) -> None:
    rng, here = random.Random(num_kills), tmp_path / "here"
    assert start(world, served, here, 1, *FLAGS).wait(300) == 0
    hits = finished = 0
    with serving_s3(share_of_faults) as s3:
        while hits < num_kills or not finished:
            place, work = location(f"s3://bucket/{finished}/here"), tmp_path / f"work-{finished}"
            transfer(here, place, tmp_path / f"journal-{finished}")
            process = retry(served, place, work)
            while hits < num_kills:
                try:
                    assert process.wait(rng.uniform(2.0, 9.0)) == 0
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    hits += 1
                    process = retry(served, place, work)
            assert process.wait(300) == 0
            assert is_absent_or_whole(place)
            finished += 1
        assert retry(served, here, tmp_path / "work").wait(300) == 0
        for number in range(finished):
            there = open_dataset(f"s3://bucket/{number}/here").manifest
            assert timeless(there) == timeless(open_dataset(here).manifest)
    print(f"{hits} kills; {finished} retries ended; faults {dict(s3.faults)}")


@pytest.mark.slow
@pytest.mark.parametrize(("num_kills", "share_of_faults"), [(20, 0.05)])
def test_a_build_to_a_store_that_is_killed_leaves_a_whole_dataset_or_none(
    world: Path, served: Served, tmp_path: Path, num_kills: int, share_of_faults: float
) -> None:
    rng, place = random.Random(num_kills), tmp_path / "undisturbed"
    assert start(world, served, place, 1, *FLAGS).wait(300) == 0
    expected = open_dataset(place).manifest.content_hash
    hits = finished = copying = 0
    with serving_s3(share_of_faults) as s3:
        while hits < num_kills or not finished:
            place, work = location(f"s3://bucket/{finished}"), tmp_path / f"work-{finished}"
            process = start(world, served, place, 1, "--work", str(work), *FLAGS)
            if hits < num_kills and killed(process, work, rng):
                hits += 1
                copying += (work / "transferred.txt").exists()
                is_absent_or_whole(place)
                continue
            assert process.wait(300) == 0
            assert is_absent_or_whole(place)
            assert open_dataset(place).manifest.content_hash == expected
            finished += 1
    print(f"{hits} kills, {copying} of them while copying; {finished} builds ended; faults {dict(s3.faults)}")
    assert copying >= num_kills // 4
