"""The exact twin of Pillow's LANCZOS to 32 x 32, and the hash that rests on it, against their oracles."""

from collections.abc import Iterator

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from filters.hashes import phash
from filters.lanczos import lanczos_32

SIZES = [(1, 1), (1, 900), (900, 1), (3, 651), (7, 700), (7, 701), (31, 33), (32, 32), (32, 500), (500, 32)]
SIZES += [(2000, 2300), (640, 480), (801, 600), (1537, 513), (64, 6400), (9000, 40), (12_000, 70)]


def patterns(width_px: int, height_px: int) -> Iterator[NDArray[np.uint8]]:
    """Yield grey pictures (H, W): noise, black and white noise, flat (all ties), checks, a ramp."""
    chance = np.random.default_rng((width_px, height_px))
    shape = (height_px, width_px)
    yield chance.integers(0, 256, shape, dtype=np.uint8)
    yield chance.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255)
    yield np.full(shape, chance.integers(256), dtype=np.uint8)
    yield ((np.indices(shape).sum(axis=0) // 7 % 2) * 255).astype(np.uint8)
    yield np.linspace(0, 255, width_px * height_px).reshape(shape).astype(np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_it_is_pillows_to_the_last_bit(size: tuple[int, int]) -> None:
    for grey in patterns(*size):
        expected = Image.fromarray(grey).resize((32, 32), Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(lanczos_32(grey), np.asarray(expected))


def test_the_hash_is_imagehashs_on_pictures_of_any_size_and_on_ties() -> None:
    chance = np.random.default_rng(0)
    sizes = [*SIZES, *(tuple(chance.integers(1, 900, 2).tolist()) for _ in range(60))]
    for grey in (grey for size in sizes for grey in patterns(*size)):
        image = Image.fromarray(grey)
        assert f"{phash(image):016x}" == str(imagehash.phash(image)), image.size
