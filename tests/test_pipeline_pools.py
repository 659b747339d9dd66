"""Worker pools in processes of their own: the same bytes as in-process, and an end when one is killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.build import build
from pipeline.config import RunOptions
from pipeline.pool_server import PoolRequest, serve
from pipeline.recipes import laptop
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests import lossy
from tests.pools import Pool, end_pool, pools, start_pool
from tests.small_world import contents

NUM_PICTURES = 30


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
    command += ["--workers", str(number), "--direct.pools", *addresses]
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


def workers_of(pool: Pool) -> list[int]:
    """Return the processes that a pool's server of processes has forked."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    return [child for child, parent in parents.items() if parents.get(parent) == pool.pid]


def wait_for(path: Path, driver: subprocess.Popen[str]) -> None:
    """Wait until a phase of a build has ended."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert driver.poll() is None, driver.stderr and driver.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_two_pools_leave_the_bytes_of_one_process(
    photos: Path, alone: dict[str, bytes], tmp_path: Path
) -> None:
    with pools(2) as both:
        said = start(photos, tmp_path / "dataset", list(both)).communicate(timeout=100)[1]
    assert said == ""
    assert contents(tmp_path / "dataset") == alone


@pytest.mark.parametrize("victim", ["pool", "worker"])
def test_a_killed_pool_or_worker_ends_the_build_with_a_line_and_the_next_run_finishes_it(
    photos: Path, alone: dict[str, bytes], tmp_path: Path, victim: str
) -> None:
    with pools(2) as both:
        driver = start(photos, tmp_path / "dataset", list(both))
        wait_for(tmp_path / "dataset/work/matched/_done", driver)
        address, pool = both.popitem()
        killed = time.monotonic()
        if victim == "pool":
            pool.kill()
        while victim == "worker" and driver.poll() is None:  # one that has done its work is no loss
            for pid in workers_of(pool):
                os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)
        said = driver.communicate(timeout=60)[1]
        assert driver.returncode == 1
        assert time.monotonic() - killed < 20
        wanted = {
            "pool": f"build stopped: worker pool {address} does not answer (unavailable)",
            "worker": f"build stopped: a worker process of pool {address} was killed. What",
        }
        assert wanted[victim] in said
        assert "What is done is kept; run the same command again." in said
        assert not (tmp_path / "dataset/manifest.json").exists()
        if victim == "pool":
            again = start(photos, tmp_path / "dataset", list(both), 1)
            assert again.communicate(timeout=100)[1] == ""
            assert contents(tmp_path / "dataset") == alone


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
def test_over_networks_that_lose_packets_a_build_with_a_killed_pool_ends_with_the_same_bytes(
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
            said = driver.communicate(timeout=120)[1]
            assert f"build stopped: worker pool {addresses[1]} does not answer" in said
            assert driver.returncode == 1
            end_pool(listening["west"][0])
            again = start_pool("--bind", hosts["west"], before=lossy.inside("west"))
            listening["west"] = again
            addresses[1] = again[1]
            driver = start(photos, dataset, addresses, num_workers, driver_in)
            assert (driver.communicate(timeout=300)[1], driver.returncode) == ("", 0)
            assert min(lossy.num_lost(name) for name in ("driver", "east", "west")) > 0
        finally:
            for pool, _ in listening.values():
                end_pool(pool)
    assert contents(dataset) == alone
