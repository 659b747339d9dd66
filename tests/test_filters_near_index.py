"""The nearest of many listed hashes, against comparing each."""

import random

import numpy as np
import pytest

from filters import near_index
from filters.hashes import hamming
from filters.near_index import NearIndex, WideIndex


def slow_nearest(value: int, listed: list[int], max_distance: int) -> tuple[int, int] | None:
    distance, nearest = min((hamming(value, other), other) for other in listed)
    return (nearest, distance) if distance <= max_distance else None


def flipped(rng: random.Random, value: int, num_bits: int, width: int = 64) -> int:
    for place in rng.sample(range(width), num_bits):
        value ^= 1 << place
    return value


@pytest.mark.parametrize("few", [0, 10_000])
@pytest.mark.parametrize("max_distance", [0, 4, 7])
def test_the_nearest_listed_hash_is_that_of_the_slow_version(
    max_distance: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(near_index, "FEW", few)
    rng = random.Random(1)
    listed = [0, 2**64 - 1, *(rng.getrandbits(64) for _ in range(500))]
    listed += [flipped(rng, value, 2) for value in listed[:200]]
    index = NearIndex(np.array(listed, dtype=np.uint64), max_distance)
    asked = [flipped(rng, rng.choice(listed), rng.randrange(12)) for _ in range(300)]
    expected = [slow_nearest(value, listed, max_distance) for value in asked]
    assert [index.nearest(value) for value in asked] == expected
    assert None in expected and any(expected)


def test_long_hashes_are_found_as_by_the_slow_version() -> None:
    rng = random.Random(2)
    listed = [rng.getrandbits(256) for _ in range(300)]
    index = WideIndex(tuple(f"{value:064x}" for value in listed), 31)
    for num_bits in (0, 5, 31, 32, 60):
        value = flipped(rng, rng.choice(listed), num_bits, 256)
        found = slow_nearest(value, listed, 31)
        assert index.nearest(f"{value:064x}") == (found and (f"{found[0]:064x}", found[1]))
        assert (found is None) == (num_bits > 31)


def test_nothing_listed_is_near_to_nothing() -> None:
    assert NearIndex(np.array([], dtype=np.uint64), 4).nearest(0) is None
