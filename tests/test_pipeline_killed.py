"""A build that is killed anywhere and run again ends with the bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.sample_web.serve import ENDPOINT
from pipeline.sample_web.server import Served
from tests.small_world import contents


def start(world: Path, served: Served, dataset: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start the command that a person would type, in a process group of its own."""
    command = [
        *(sys.executable, "-m", "pipeline", "build", "demo", "--sample-web", "None", "--quiet"),
        *("--dataset", str(dataset), "--workers", str(workers), "--connect-to", *served.connect_to),
        *("--queries", str(world / "queries.txt"), "--commons.endpoint", ENDPOINT),
        *("--table.paths", str(world / "urls.parquet"), "--table.caption-column", "alt"),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)


def survivors(group: int) -> list[str]:
    """Return the processes of a group that are still alive."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            found.append(stat.parent.name)
    return found


def build_with_kills(
    world: Path, served: Served, root: Path, workers: int, num_kills: int, seed: int
) -> list[Path]:
    """Build again and again, killing the driver at random moments, until so many kills hit; return what
    the finished builds left."""
    rng = random.Random(seed)
    finished: list[Path] = []
    num_hits = 0
    while num_hits < num_kills or not finished:
        dataset = root / str(len(finished)) / "dataset"
        process = start(world, served, dataset, workers)
        try:
            timeout = rng.uniform(1.0, 7.0) if num_hits < num_kills else 300.0
            assert process.wait(timeout) == 0
            finished.append(dataset)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            num_hits += 1
    return finished


@pytest.mark.parametrize(
    ("workers", "num_kills"),
    [(1, 3), pytest.param(1, 10, marks=pytest.mark.slow), pytest.param(2, 10, marks=pytest.mark.slow)],
)
def test_killed_at_random_moments_a_build_ends_with_the_same_bytes(
    world: Path, served: Served, tmp_path: Path, workers: int, num_kills: int
) -> None:
    undisturbed = tmp_path / "undisturbed" / "dataset"
    assert start(world, served, undisturbed, 1).wait(300) == 0
    finished = build_with_kills(world, served, tmp_path, workers, num_kills, seed=workers)
    for dataset in finished:
        assert contents(dataset) == contents(undisturbed)


def test_workers_do_not_outlive_a_killed_driver(world: Path, served: Served, tmp_path: Path) -> None:
    process = start(world, served, tmp_path / "dataset", 2)
    time.sleep(6)
    assert len(survivors(process.pid)) >= 3
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while (left := survivors(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []


def test_a_killed_worker_ends_the_build_with_a_message_and_the_next_run_finishes_it(
    world: Path, served: Served, tmp_path: Path
) -> None:
    process = start(world, served, tmp_path / "dataset", 2)
    time.sleep(6)
    workers = [pid for pid in survivors(process.pid) if int(pid) != process.pid]
    os.kill(int(workers[-1]), signal.SIGKILL)
    assert process.wait(30) == 1
    assert start(world, served, tmp_path / "dataset", 1).wait(300) == 0
