"""A build that is killed anywhere and run again ends with the bytes of an undisturbed one."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.parts import parts_in
from pipeline.sample_web.serve import ENDPOINT, serving_world
from pipeline.sample_web.server import Served
from pipeline.staged import read_staged
from tests.small_world import contents


def start(world: Path, served: Served, dataset: Path, workers: int, *flags: str) -> subprocess.Popen[bytes]:
    """Start the command that a person would type, in a process group of its own."""
    command = [
        *(sys.executable, "-m", "pipeline", "build", "demo", "--sample-web", "None", "--quiet"),
        *("--dataset", str(dataset), "--workers", str(workers), "--connect-to", *served.connect_to),
        *("--queries", str(world / "queries.txt"), "--commons.endpoint", ENDPOINT),
        *("--table.paths", str(world / "urls.parquet"), "--table.caption-column", "alt"),
        *flags,
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


def none_survives(group: int) -> bool:
    """Wait, not for ever, until no process of a group is left; return whether that is so."""
    deadline = time.monotonic() + 10
    while survivors(group) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not survivors(group)


def is_worker(pid: str) -> bool:
    """Return whether a process is one of Beam's workers, which are forked from one that is made for that."""
    try:
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        lines = [Path(f"/proc/{number}/cmdline").read_bytes() for number in (pid, parent)]
    except OSError:
        return False
    return all(b"multiprocessing.forkserver" in line for line in lines)


def workers_in_fetch(process: subprocess.Popen[bytes], dataset: Path) -> list[int]:
    """Wait until both workers of a build are fetching; return them."""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        workers = [int(pid) for pid in survivors(process.pid) if is_worker(pid)]
        if len(workers) == 2 and list((dataset / "work/fetched").glob("tally-*/*")):
            return workers
        time.sleep(0.05)
    raise AssertionError(f"no two workers at the fetch; the build ended with {process.poll()}")


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


@pytest.fixture(scope="module")
def undisturbed(world: Path, served: Served, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a build leaves that nobody has killed."""
    dataset = tmp_path_factory.mktemp("undisturbed") / "dataset"
    assert start(world, served, dataset, 1).wait(300) == 0
    return contents(dataset)


@pytest.mark.parametrize(
    ("workers", "num_kills"),
    [(1, 1), pytest.param(1, 10, marks=pytest.mark.slow), pytest.param(2, 10, marks=pytest.mark.slow)],
)
def test_killed_at_random_moments_a_build_ends_with_the_same_bytes(
    world: Path,
    served: Served,
    undisturbed: dict[str, bytes],
    tmp_path: Path,
    workers: int,
    num_kills: int,
) -> None:
    finished = build_with_kills(world, served, tmp_path, workers, num_kills, seed=7 * workers)
    for dataset in finished:
        assert contents(dataset) == undisturbed


def test_workers_do_not_outlive_a_killed_driver(world: Path, served: Served, tmp_path: Path) -> None:
    process = start(world, served, tmp_path / "dataset", 2)
    workers_in_fetch(process, tmp_path / "dataset")
    process.kill()
    process.wait()
    assert none_survives(process.pid)


def test_a_build_goes_on_by_itself_when_a_worker_is_killed(
    world: Path, served: Served, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    process = start(world, served, tmp_path / "dataset", 2)
    os.kill(workers_in_fetch(process, tmp_path / "dataset")[-1], signal.SIGKILL)
    assert process.wait(300) == 0
    assert none_survives(process.pid)
    assert contents(tmp_path / "dataset") == undisturbed


def urls_of_whole_units(dataset: Path) -> set[str]:
    """Return the URLs of all units that are there, each of which is found to be whole."""
    fetched, selected = dataset / "work/fetched", dataset / "work/selected"
    urls = set[str]()
    for part in parts_in(fetched):
        rows, wanted = part.rows().to_pylist(), pq.read_table(selected / part.path.name)
        rejected = fetched / f"{part.name}.rejections.parquet"
        num_rejected = pq.read_metadata(rejected).num_rows if rejected.exists() else 0
        assert len(rows) + num_rejected == len(wanted)
        with (fetched / f"{part.name}.tar").open("rb") as tar:
            pictures = [read_staged(row, tar) for row in rows]
        assert all(data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9" for data in pictures)
        urls.update(wanted["url"].to_pylist())
    return urls


def check_asked(asked: dict[str, int], served: Served, dataset: Path) -> None:
    """Note how often the URLs of whole units were asked for, and see that they were not again since."""
    for url in urls_of_whole_units(dataset):
        assert asked.setdefault(url, served.web.num_requests[url]) == served.web.num_requests[url]


def kill_in_fetch(
    process: subprocess.Popen[bytes], dataset: Path, rng: random.Random, before: Callable[[], None]
) -> bool:
    """Kill the driver or a worker at a random moment of the fetch, which goes on without a worker; return
    whether it was still at it. `before` is called before a kill."""
    while not (dataset / "work/selected/_done").exists() and process.poll() is None:
        time.sleep(0.02)
    time.sleep(rng.uniform(0.0, 4.0))
    if process.poll() is not None or (dataset / "work/fetched/_done").exists():
        assert process.wait(300) == 0
        return False
    before()
    # A decoder's death would cost the picture that it was at: what a picture does to it costs no other.
    workers = [int(pid) for pid in survivors(process.pid) if is_worker(pid)]
    with suppress(ProcessLookupError):  # it ended by itself just now
        os.kill(rng.choice([process.pid, *workers]), signal.SIGKILL)
    process.wait(300)
    deadline = time.monotonic() + 20
    while (left := survivors(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    return True


@pytest.mark.slow
@pytest.mark.parametrize("num_kills", [20])
def test_a_kill_in_the_fetch_costs_the_units_in_flight_and_no_other(
    world: Path, tmp_path: Path, num_kills: int
) -> None:
    rng, flags = random.Random(num_kills), ("--fetch.pairs-per-unit", "5")
    with serving_world(world) as served:
        undisturbed = tmp_path / "undisturbed" / "dataset"
        assert start(world, served, undisturbed, 2, *flags).wait(300) == 0
    hits = finished = 0
    while hits < num_kills:
        with serving_world(world) as served:
            dataset = tmp_path / str(finished) / "dataset"
            asked = dict[str, int]()  # how often each URL of a unit had been asked for when it was whole
            check = partial(check_asked, asked, served, dataset)
            while kill_in_fetch(start(world, served, dataset, 2, *flags), dataset, rng, check):
                hits += 1
                check()
                if hits == num_kills:
                    assert start(world, served, dataset, 2, *flags).wait(300) == 0
                    break
            assert asked == {url: served.web.num_requests[url] for url in asked}
            assert contents(dataset) == contents(undisturbed)
            finished += 1
