"""What pictures are told from each other by, out of every pixel: 32 x 32 greys, and mean colours of cells.

Both are Pillow's own to the last bit. `_looks.c` does them in a quarter of Pillow's time, on Pillow's pixels
where they lie; where it was not compiled, or the pixels are not in one piece (16 MB or more), Pillow does.
"""

import importlib
import math
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE_PX = 32
LOBES = 3  # of Lanczos' sinc, on each side
PRECISION = 1 << 22  # of Pillow's weights for 8-bit pixels
CELLS = 4  # along each side
# Pixels along each side that mean colours are made of: a third of the cost of all, and the cells do not shift
# with the picture's size, as they do where Pillow first divides the sides by a whole number.
SAMPLES = 128
MAX_CACHED = 128  # sides for which weights are kept, some 15 KB each
_PADDED = 16  # so many weights at once, or fewer


def _compiled() -> ModuleType | None:
    try:
        return importlib.import_module("filters._looks")
    except ModuleNotFoundError:
        return None


COMPILED = _compiled()
"""`_looks.c`; None where there was no compiler when this was installed."""


def greys_32(image: Image.Image) -> NDArray[np.uint8]:
    """Return the greys (32, 32) of a picture: `image.convert("L").resize((32, 32), LANCZOS)`."""
    width, height = image.size
    columns_first = height > 100 * width and height > SIDE_PX  # there, and only there, Pillow does them first
    pixels = None if columns_first else _pixels_of(image)
    if COMPILED is None or pixels is None:
        return np.asarray(image.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS))
    greys = COMPILED.grey_32(pixels, width, height, *_taps(width), *_taps(height))
    return np.frombuffer(greys, np.uint8).reshape(SIDE_PX, SIDE_PX)


def cell_means(image: Image.Image) -> bytes:
    """Return the mean RGB of each of 4 x 4 cells, row by row."""
    few = min(image.size) <= SAMPLES
    pixels = None if few else _pixels_of(image)
    if COMPILED is None or pixels is None:
        sampled = image if few else image.resize((SAMPLES, SAMPLES), Image.Resampling.NEAREST)
        return sampled.convert("RGB").resize((CELLS, CELLS), Image.Resampling.BOX).tobytes()
    means: bytes = COMPILED.cell_means(pixels, *image.size, *map(_places, image.size))
    return means


def _pixels_of(image: Image.Image) -> Any:
    """Return the pixels of an RGB picture for Arrow's C interface; None of others, or in several pieces."""
    if image.mode != "RGB":
        return None
    try:
        return image.__arrow_c_array__()[1]
    except ValueError:
        return None


@lru_cache(MAX_CACHED)
def _places(length: int) -> bytes:
    """Return which pixels of a side NEAREST takes, as int32."""
    numbers = Image.fromarray(np.arange(length, dtype=np.int32)[np.newaxis])
    return np.asarray(numbers.resize((SAMPLES, 1), Image.Resampling.NEAREST), np.int32).tobytes()


@lru_cache(MAX_CACHED)
def _taps(length: int) -> tuple[bytes, bytes]:
    """Return of each grey along a side the first pixel (32,) and the weights (32, n), as int32.

    Those of Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`; 1 for each pixel where there are 32.
    """
    if length == SIDE_PX:
        first, weights = np.arange(SIDE_PX), np.full((SIDE_PX, 1), PRECISION)
    else:
        first, weights = _lanczos_taps(length)
    padding = -weights.shape[1] % _PADDED
    weights = np.pad(weights, ((0, 0), (0, padding)))
    return first.astype(np.int32).tobytes(), weights.astype(np.int32).tobytes()


def _lanczos_taps(length: int) -> tuple[NDArray[np.int_], NDArray[np.float64]]:
    scale = length / SIDE_PX
    filter_scale = max(scale, 1.0)
    support = LOBES * filter_scale
    centers = (np.arange(SIDE_PX) + 0.5) * scale
    first = np.maximum((centers - support + 0.5).astype(int), 0)
    end = np.minimum((centers + support + 0.5).astype(int), length)
    pixel = first[:, None] + np.arange(int((end - first).max()))
    weights = _lanczos((pixel - centers[:, None] + 0.5) * (1 / filter_scale))
    weights[pixel >= end[:, None]] = 0
    weights /= np.cumsum(weights, axis=1)[:, -1:]  # a running sum, as in C: np.sum adds in another order
    return first, np.trunc(weights * PRECISION + np.where(weights < 0, -0.5, 0.5))


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = (x >= -LOBES) & (x < LOBES)
    return np.where(inside, _sinc(x) * _sinc(x / LOBES), 0.0)


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    turned = x * math.pi
    return np.divide(np.sin(turned), turned, out=np.ones_like(turned), where=turned != 0)
