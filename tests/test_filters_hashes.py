"""Fingerprints equal to imagehash's own, and near pairs against the slow obvious way."""

from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from filters.hashes import block_keys, hamming, near_pairs, phash, sha256_hex

NEAR_DUPLICATES = Path("../shared/data/neardup/pdq")


def hashes_of(values: list[int]) -> NDArray[np.uint64]:
    return np.array(values, dtype=np.uint64)


def slow_near_pairs(values: list[int], max_distance: int) -> list[list[int]]:
    """Compare everything with everything; a copy is linked to the first of its kind alone."""
    pairs = []
    for right, value in enumerate(values):
        for left in range(right):
            is_link_of_copy = value in values[:right] or values[left] in values[:left]
            if is_link_of_copy and not (values[left] == value and values.index(value) == left):
                continue
            if hamming(values[left], value) <= max_distance:
                pairs.append([left, right])
    return sorted(pairs)


def flipped(value: int, bits: list[int]) -> int:
    for bit in bits:
        value ^= 1 << bit
    return value


# Values that differ in a few bits from one of three, so that near pairs occur.
NEAR = st.builds(
    flipped, st.sampled_from([0, (1 << 64) - 1, 0x123456789ABCDEF0]), st.lists(st.integers(0, 63), max_size=5)
)


@given(st.lists(NEAR, max_size=12), st.integers(0, 16))
def test_near_pairs_are_those_of_the_slow_way(values: list[int], max_distance: int) -> None:
    assert near_pairs(hashes_of(values), max_distance).tolist() == slow_near_pairs(values, max_distance)


@given(st.integers(0, (1 << 64) - 1), st.lists(st.integers(0, 63), max_size=4, unique=True))
def test_near_hashes_share_a_key(value: int, bits: list[int]) -> None:
    left, right = block_keys(hashes_of([value, flipped(value, bits)]), max_distance=4).T
    assert len(left) == 15
    assert (left == right).any()


def test_keys_of_different_rows_never_meet() -> None:
    keys = block_keys(hashes_of([0]), max_distance=4)
    assert len(np.unique(keys)) == 15


def test_many_equal_hashes_give_one_link_each() -> None:
    pairs = near_pairs(np.full(100_000, 7, dtype=np.uint64), max_distance=4)
    assert pairs.shape == (99_999, 2)
    assert not pairs[:, 0].any()


@pytest.mark.parametrize("num_hashes", [0, 1])
def test_fewer_than_two_hashes_have_no_pairs(num_hashes: int) -> None:
    assert near_pairs(hashes_of([5] * num_hashes), max_distance=4).shape == (0, 2)


@pytest.mark.parametrize("max_distance", [-1, 17])
def test_a_distance_out_of_range_is_refused(max_distance: int) -> None:
    with pytest.raises(ValueError, match=f"max_distance {max_distance} of 64 bits: give 0 to 16"):
        near_pairs(hashes_of([1, 2]), max_distance)


@settings(max_examples=20)
@given(st.integers(0, 1 << 32), st.sampled_from(["RGB", "L", "RGBA"]))
def test_a_perceptual_hash_has_the_bits_of_imagehash(seed: int, mode: str) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 11, 4), dtype=np.uint8)
    image = Image.fromarray(pixels, "RGBA").resize((90, 70)).convert(mode)
    bits = imagehash.phash(image).hash.flatten()
    assert f"{phash(image):064b}" == "".join("01"[int(bit)] for bit in bits)


def test_copies_of_a_photograph_are_near_and_others_far() -> None:
    if not NEAR_DUPLICATES.exists():
        pytest.skip(f"{NEAR_DUPLICATES} is absent: third-party pictures are not part of the project")
    copies = sorted(NEAR_DUPLICATES.glob("bridge-mods/*.jpg"))
    others = sorted(NEAR_DUPLICATES.glob("reg-test-input/labelme-subset/**/*.jpg"))
    original, *hashes = (phash(Image.open(path)) for path in [*copies, *others])
    distances = [hamming(original, other) for other in hashes]
    assert max(distances[: len(copies) - 1]) == 4  # the sharpened one; the seven others are 0 away
    assert min(distances[len(copies) - 1 :]) > 16


def test_sha256_is_the_standard_one() -> None:
    assert sha256_hex(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
