"""Settings of all tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:  # tests that need no pipeline do not wait for Beam
    from pipeline.config import BuildConfig
    from pipeline.sample_web.server import Served

# Before torch is imported, and for the processes that tests start: models this small are several times slower
# on two threads, which wait for each other longer than they work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A time limit per example measures the machine's other work, not ours.
settings.register_profile("openwit", deadline=None)
settings.load_profile("openwit")


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small sample web, drawn once; see tests/small_world.py."""
    from pipeline.sample_web.world import make_world
    from tests.small_world import NUM_PICTURES

    root = tmp_path_factory.mktemp("web") / "world"
    make_world(root, num_pictures=NUM_PICTURES, quiet=True)
    return root


@pytest.fixture(scope="module")
def served(world: Path) -> "Iterator[Served]":
    """The small world served anew to each module, which counts its own requests."""
    from pipeline.sample_web.serve import serving_world

    with serving_world(world) as served:
        yield served


@pytest.fixture(scope="session")
def small_config(world: Path) -> "BuildConfig":
    """What the demo builds, from the small world."""
    from pipeline.__main__ import with_sample_web
    from pipeline.recipes import demo

    return with_sample_web(demo().config, world)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A browser for the tests of one file: its event loop would be in the way of others'."""
    from tests.browsing import CHROMIUM, playwright

    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Name bytes by their argument: some hold the time (gzip), and all processes must name a test alike."""
    return argname if isinstance(val, bytes) else None
