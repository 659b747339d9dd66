"""Random damage, and forgeries whose hashes are right: verify finds every one and names the file."""

import random
import shutil
from pathlib import Path

import pytest

from manifests.verify import Options, verify
from tests.corruptions import DAMAGE, FORGERIES, Corruption, make_victim

NUM_FAST, NUM_SLOW = 3, 32  # of each kind: 96 in the fast test, 1,024 in the slow one
SLOW = pytest.param(NUM_SLOW, marks=pytest.mark.slow)


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_victim(tmp_path_factory.mktemp("victim") / "dataset")


def test_a_dataset_that_nobody_touched_never_fails(victim: Path, tmp_path: Path) -> None:
    for options in (Options(), Options(deep=True), Options(workers=2, deep=True)):
        assert list(verify(victim, options)) == []
    shutil.copytree(victim, tmp_path / "moved")
    assert list(verify(tmp_path / "moved", Options(deep=True))) == []


@pytest.mark.parametrize("count", [NUM_FAST, SLOW])
@pytest.mark.parametrize("corrupt", (*DAMAGE, *FORGERIES), ids=lambda corrupt: str(corrupt.__name__))
def test_every_corruption_is_found_and_its_file_is_named(
    victim: Path, tmp_path: Path, corrupt: Corruption, count: int
) -> None:
    for seed in range(count):
        root = tmp_path / str(seed)
        shutil.copytree(victim, root)
        blamed = corrupt(root, random.Random(f"{corrupt.__name__} {seed}"))
        found = list(verify(root, Options(deep=corrupt in FORGERIES)))
        named = {mismatch.path for mismatch in found}
        assert blamed <= named, (seed, blamed, found)
        assert blamed, seed
        shutil.rmtree(root)
