"""The compiled loops over every pixel, and the hash that rests on them, against Pillow and imagehash."""

import shutil
from collections.abc import Iterator

import imagehash
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from filters import looks
from filters.hashes import phash
from filters.looks import cell_means, greys_32

SIZES = [(1, 1), (1, 900), (900, 1), (3, 651), (7, 700), (7, 701), (31, 33), (32, 32), (32, 500), (500, 32)]
SIZES += [(2000, 2300), (640, 480), (801, 600), (1537, 513), (64, 6400), (9000, 40), (12_000, 70)]
SIZES += [(128, 129), (129, 129), (129, 5000), (2500, 2500)]  # the last are more than Pillow has in a piece


def patterns(width_px: int, height_px: int) -> Iterator[Image.Image]:
    """Yield pictures: noise, black and white noise, flat (all ties), checks, a ramp."""
    chance = np.random.default_rng((width_px, height_px))
    shape = (height_px, width_px, 3)
    yield Image.fromarray(chance.integers(0, 256, shape, dtype=np.uint8))
    yield Image.fromarray(chance.integers(0, 2, shape, dtype=np.uint8) * np.uint8(255))
    yield Image.fromarray(np.full(shape, chance.integers(256, size=3), dtype=np.uint8))
    yield Image.fromarray(((np.indices(shape).sum(axis=0) // 7 % 2) * 255).astype(np.uint8))
    yield Image.fromarray(np.linspace(0, 255, width_px * height_px * 3).reshape(shape).astype(np.uint8))


def pillows_greys(image: Image.Image) -> NDArray[np.uint8]:
    """Do it the slow obvious way."""
    return np.asarray(image.convert("L").resize((32, 32), Image.Resampling.LANCZOS))


def pillows_cells(image: Image.Image) -> bytes:
    """Do it the slow obvious way."""
    if min(image.size) > 128:
        image = image.resize((128, 128), Image.Resampling.NEAREST)
    return image.resize((4, 4), Image.Resampling.BOX).tobytes()


@pytest.mark.skipif(not (shutil.which("cc") or shutil.which("gcc")), reason="no C compiler here")
def test_the_loops_are_compiled_where_there_is_a_compiler() -> None:
    assert looks.COMPILED is not None, "install anew: make install"


@pytest.mark.parametrize("size", SIZES)
def test_greys_and_cells_are_pillows_to_the_last_bit(size: tuple[int, int]) -> None:
    for image in patterns(*size):
        np.testing.assert_array_equal(greys_32(image), pillows_greys(image))
        assert cell_means(image) == pillows_cells(image)


def test_they_are_the_same_without_the_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = list(patterns(300, 200))
    compiled = [(greys_32(image).tobytes(), cell_means(image)) for image in pictures]
    monkeypatch.setattr(looks, "COMPILED", None)
    assert [(greys_32(image).tobytes(), cell_means(image)) for image in pictures] == compiled


def test_the_hash_is_imagehashs_on_pictures_of_any_size_and_on_ties() -> None:
    chance = np.random.default_rng(0)
    sizes = [*SIZES, *(tuple(chance.integers(1, 900, 2).tolist()) for _ in range(60))]
    for image in (image for size in sizes for image in patterns(*size)):
        assert f"{phash(image):016x}" == str(imagehash.phash(image)), image.size


def test_the_loops_refuse_what_lies_beyond_the_pixels() -> None:
    if looks.COMPILED is None:
        pytest.skip("no C compiler was there when this was installed")
    loops, pixels = looks.COMPILED, Image.new("RGB", (40, 30)).__arrow_c_array__()[1]
    taps, places = looks._taps, looks._places
    with pytest.raises(ValueError, match="not 40 x 31 pixels"):
        loops.grey_32(pixels, 40, 31, *taps(40), *taps(31))
    with pytest.raises(ValueError, match="reach beyond the picture"):
        loops.grey_32(pixels, 40, 30, *taps(41), *taps(30))
    with pytest.raises(ValueError, match="reach beyond the picture"):
        loops.grey_32(pixels, 40, 30, *taps(40), taps(30)[0], b"")
    with pytest.raises(ValueError, match="places beyond 40 x 30"):
        loops.cell_means(pixels, 40, 30, places(40), places(31))
    with pytest.raises(ValueError, match="PyCapsule"):
        loops.cell_means("pixels", 40, 30, places(40), places(30))
