"""Worker pools in processes of their own: the same bytes as in-process, also when one is killed."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.build import build
from pipeline.config import RunOptions
from pipeline.losses import Losses, num_whole
from pipeline.pool_server import PoolRequest, serve
from pipeline.recipes import laptop
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests import lossy
from tests.pools import Pool, end_pool, pools, start_pool
from tests.small_world import contents

NUM_PICTURES = 30
KILLED, AGAIN = "a worker process was killed", "what was not whole is done again"
KEPT = "What is done is kept; run the same command again."


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of this machine, none like another, in folders of their names."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for number in range(NUM_PICTURES):
        pixels = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((16, 16, 1), np.uint8))
        folder = root / "photos" / ("cup", "tree", "house")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    (root / "terms.txt").write_text("cup\ntree\nhouse\n")
    return root


def flags_of(photos: Path, dataset: Path) -> list[str]:
    """Return what a person types after `build laptop`."""
    folder = ("--folder.paths", str(photos / "photos"), "--folder.templates", "A photo of a {} in the sun.")
    return [*folder, "--queries", str(photos / "terms.txt"), "--dataset", str(dataset), "--quiet"]


def start(
    photos: Path, dataset: Path, addresses: list[str], number: int = 2, before: tuple[str, ...] = ()
) -> subprocess.Popen[str]:
    """Start a build on pools, by a command before it where one is given."""
    command = [*before, sys.executable, "-m", "pipeline", "build", "laptop", *flags_of(photos, dataset)]
    command += ["--workers", str(number), *(("--direct.pools", *addresses) if addresses else ())]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def alone(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a build in this one process leaves."""
    dataset = tmp_path_factory.mktemp("alone") / "dataset"
    templates = ("A photo of a {} in the sun.",)
    folder = Folder(paths=(str(photos / "photos"),), templates=templates)
    sources, queries = Sources(folder=folder), str(photos / "terms.txt")
    config = replace(laptop().config, sources=sources, queries=queries)
    assert build(config, RunOptions(dataset=dataset, quiet=True)).num_pairs == NUM_PICTURES
    return contents(dataset)


def parents() -> dict[int, int]:
    """Return the parent of each process that is alive."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            found[int(stat.parent.name)] = int(parent)
    return found


def workers_of(started: Pool | subprocess.Popen[str]) -> list[int]:
    """Return the workers of a pool, or of a build here: what its server of processes has forked."""
    of = parents()
    return [child for child, parent in of.items() if of.get(parent) == started.pid]


def kill_until_told(find: Callable[[], list[int]], driver: subprocess.Popen[str]) -> None:
    """Kill the first of the processes that are found until the build says something: one that has done its
    work is no loss."""
    assert driver.stderr is not None
    while not select.select([driver.stderr], [], [], 0.01)[0]:
        for pid in find()[:1]:
            os.kill(pid, signal.SIGKILL)


def wait_for(path: Path, driver: subprocess.Popen[str]) -> None:
    """Wait until a phase of a build has ended."""
    deadline = time.monotonic() + 200
    while not path.exists():
        if time.monotonic() > deadline:
            driver.kill()
        assert driver.poll() is None, driver.communicate()[1]
        time.sleep(0.02)


def test_two_pools_leave_the_bytes_of_one_process(
    photos: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    with pools(2) as both:
        said = start(photos, tmp_path / "dataset", list(both)).communicate(timeout=300)[1]
    assert said == ""
    assert contents(tmp_path / "dataset") == alone


def test_a_build_goes_on_by_itself_without_a_killed_pool(
    photos: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    with pools(2) as both:
        driver = start(photos, tmp_path / "dataset", list(both))
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        address, pool = both.popitem()
        pool.kill()
        said = driver.communicate(timeout=300)[1]
    assert (driver.returncode, said.count("\n")) == (0, 1), said
    assert said.startswith(f"build: worker pool {address} does not answer (unavailable); goes on with")
    assert contents(tmp_path / "dataset") == alone


@pytest.mark.slow
def test_a_build_goes_on_by_itself_without_a_killed_worker(
    photos: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    driver = start(photos, tmp_path / "dataset", [])
    wait_for(tmp_path / "dataset/work/matched/_done", driver)
    kill_until_told(partial(workers_of, driver), driver)
    said = driver.communicate(timeout=300)[1]
    assert (driver.returncode, said) == (0, f"build: {KILLED}; goes on with new ones, {AGAIN}\n")
    assert contents(tmp_path / "dataset") == alone


def test_work_that_kills_its_worker_every_time_ends_the_build(photos: Path, tmp_path: Path) -> None:
    driver = start(photos, tmp_path / "dataset", [])
    wait_for(tmp_path / "dataset/work/matched/_done", driver)
    while driver.poll() is None:
        for pid in workers_of(driver):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    *lines, last = driver.communicate()[1].splitlines()
    assert lines == 2 * [f"build: {KILLED}; goes on with new ones, {AGAIN}"]
    assert last == f"build stopped: {KILLED}, 3 times without a new part. {KEPT}"
    assert driver.returncode == 1


@pytest.mark.parametrize("where", [pytest.param("pool", marks=pytest.mark.slow), "local"])
def test_an_interrupted_build_ends_with_a_line_and_waits_for_no_worker(
    photos: Path, tmp_path: Path, where: str
) -> None:
    with pools(int(where == "pool")) as given:
        driver = start(photos, tmp_path / "dataset", list(given))
        find = partial(workers_of, *given.values()) if given else partial(workers_of, driver)
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        while not (found := find()):
            time.sleep(0.01)
        os.kill(found[0], signal.SIGSTOP)
        time.sleep(2)
        driver.send_signal(signal.SIGINT)
        said = driver.communicate(timeout=30)[1]
    assert (driver.returncode, said) == (1, f"build stopped: interrupted. {KEPT}\n")


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "silent"])
def test_a_build_goes_on_with_the_pools_that_are_left(
    photos: Path, alone: dict[str, bytes], tmp_path: Path, victim: str
) -> None:
    with pools(2) as both:
        driver = start(photos, tmp_path / "dataset", list(both))
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        address, pool = list(both.items())[-1]
        if victim == "worker":
            kill_until_told(partial(workers_of, pool), driver)
        else:
            pool.send_signal(signal.SIGSTOP)
        said = driver.communicate(timeout=200)[1]
        pool.send_signal(signal.SIGCONT)
    lines = said.splitlines()
    if victim == "worker":
        assert lines == [
            f"build: a worker process of pool {address} was killed; goes on with {', '.join(both)}, {AGAIN}"
        ]
    else:  # within a phase or between two
        assert lines[0].startswith(f"build: worker pool {address} does not answer (")
        assert "goes on with" in lines[0]
    assert (driver.returncode, len(lines)) == (0, 1)
    assert contents(tmp_path / "dataset") == alone


@pytest.mark.slow
def test_a_pool_that_is_back_is_used_again(photos: Path, alone: dict[str, bytes], tmp_path: Path) -> None:
    with pools(2) as both:
        driver = start(photos, tmp_path / "dataset", list(both))
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        address, pool = both.popitem()
        pool.kill()
        assert driver.stderr is not None
        assert driver.stderr.readline().startswith(f"build: worker pool {address} does not answer")
        driver.send_signal(signal.SIGSTOP)
        again, there = start_pool("--port", address.rpartition(":")[2])
        driver.send_signal(signal.SIGCONT)
        said = driver.communicate(timeout=300)[1]
        end_pool(again)
    assert (there, driver.returncode, said) == (address, 0, f"build: worker pool {address} is back\n")
    assert contents(tmp_path / "dataset") == alone


def test_only_losses_without_a_new_part_between_them_are_counted(tmp_path: Path) -> None:
    losses, counts = Losses(), []
    for number in (0, 0, 1, 1, 1):  # parts that are whole when a worker is lost
        while num_whole((tmp_path,)) < number:
            (tmp_path / f"{number}.parquet").touch()
        losses.count(num_whole((tmp_path,)))
        counts.append(losses.num_fruitless)
    assert counts == [1, 2, 1, 2, 3]


@pytest.mark.slow
def test_a_build_that_has_lost_all_its_pools_ends(photos: Path, tmp_path: Path) -> None:
    with pools(2) as both:
        driver = start(photos, tmp_path / "dataset", list(both))
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        for pool in both.values():
            pool.kill()
        said = driver.communicate(timeout=300)[1]
    assert "build stopped: worker pool " in said
    assert said.endswith(f"{KEPT}\n")
    assert driver.returncode == 1


def test_a_pool_that_is_not_there_is_said_before_anything_is_built(photos: Path, tmp_path: Path) -> None:
    driver = start(photos, tmp_path / "dataset", ["127.0.0.1:9"], 1)
    said = driver.communicate(timeout=60)[1]
    assert "worker pool 127.0.0.1:9 does not answer (unavailable): start one there, python -m" in said
    assert driver.returncode == 1


def test_an_address_that_cannot_be_listened_on_is_said() -> None:
    with pytest.raises(ValueError, match=r"192\.0\.2\.1:0 cannot be listened on"):
        serve(PoolRequest(port=0, bind="192.0.2.1"))


@pytest.mark.slow
@pytest.mark.parametrize("num_workers", [2, 4])
def test_over_networks_that_lose_packets_a_build_goes_on_without_a_killed_pool(
    photos: Path, alone: dict[str, bytes], tmp_path: Path, num_workers: int
) -> None:
    if reason := lossy.why_not():
        pytest.skip(reason)
    dataset, driver_in = tmp_path / "dataset", lossy.inside("driver")
    with lossy.star("driver", ["east", "west"]) as hosts:
        listening = {
            name: start_pool("--bind", host, before=lossy.inside(name)) for name, host in hosts.items()
        }
        addresses = [address for _, address in listening.values()]
        try:
            driver = start(photos, dataset, addresses, num_workers, driver_in)
            wait_for(dataset / "work/matched/_done", driver)
            listening["west"][0].kill()
            said = driver.communicate(timeout=300)[1]
            assert said.startswith(f"build: worker pool {addresses[1]} does not answer")
            assert (driver.returncode, said.count("\n")) == (0, 1), said
            assert min(lossy.num_lost(name) for name in ("driver", "east", "west")) > 0
        finally:
            for pool, _ in listening.values():
                end_pool(pool)
    assert contents(dataset) == alone
