"""A grey picture to 32 x 32, bit for bit as Pillow's LANCZOS does it, as two matrix products.

Pillow scales 8-bit pixels in whole numbers: weights of 22 fractional bits, first along the rows, rounded to
8 bits, then along the columns. Matrix products of whole numbers are exact as long as every sum fits into
the mantissa, whatever their order, so they give the same bits some three times faster.
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE_PX = 32
LOBES = 3  # of the sinc, on each side
PRECISION = 1 << 22  # Pillow's PRECISION_BITS for 8-bit pixels
BAND = 8  # neighbouring outputs that share a matrix product: of 4, 8, 16 and 32 the fastest
SPLIT = 128  # float32 holds 24 bits, so a weight is cut into one of 15 bits and one of 7
PIXELS_AT_ONCE = 1 << 21  # as floats they take four times their memory; smaller parts cost time
MAX_CACHED = 128  # sides for which the weights are kept, some 200 KB each

Floats = NDArray[Any]  # float32 or float64


class Band(NamedTuple):
    """Weights of BAND outputs, of the pixels from `start` to `stop`: whole numbers of 22 bits."""

    start: int
    stop: int
    weights: Floats  # (stop - start, BAND) in float64, or (stop - start, 2 * BAND), split, in float32


def lanczos_32(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey pixels (H, W) scaled to (32, 32): what `Image.resize((32, 32), LANCZOS)` returns.

    Either side may be of any length >= 1, also below 32.
    """
    height, width = grey.shape
    if height > 100 * width and height > SIDE_PX:  # here, and only here, Pillow does the columns first
        return _rows(_columns(grey))
    return _columns(_rows(grey))


def _rows(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale (H, W) to (H, 32)."""
    height, width = grey.shape
    if width == SIDE_PX:  # Pillow skips the pass along a side that is right
        return grey
    bands = _bands(width)
    rows = np.empty((height, SIDE_PX))
    step = max(1, PIXELS_AT_ONCE // width)
    for top in range(0, height, step):
        pixels = grey[top : top + step].astype(bands[0].weights.dtype)
        for number, (start, stop, weights) in enumerate(bands):
            sums = pixels[:, start:stop] @ weights
            if sums.shape[1] > BAND:  # they were split
                sums = sums[:, :BAND] * np.float64(SPLIT) + sums[:, BAND:]
            rows[top : top + step, number * BAND : (number + 1) * BAND] = sums
    return _to_8_bits(rows)


def _columns(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Scale (H, W) to (32, W). By now W is 32 as a rule, and float64 is as fast as anything."""
    if len(grey) == SIDE_PX:
        return grey
    return _to_8_bits(_weights(len(grey)) @ grey.astype(np.float64))


def _to_8_bits(sums: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Round as Pillow's clip8 does: half a unit is added, the fraction falls away, overshoots are cut."""
    sums += PRECISION / 2
    sums *= 1 / PRECISION  # a power of two: exact
    # A cast cuts towards zero where Pillow's shift cuts down, but what is below zero becomes zero in both.
    return np.clip(sums, 0, 255, out=sums).astype(np.uint8)


@lru_cache(MAX_CACHED)
def _bands(length: int) -> tuple[Band, ...]:
    """Return the weights of a row in bands: in float32 where all sums are below 2^24, else in float64."""
    weights = _weights(length)
    return tuple(_band(weights[first : first + BAND]) for first in range(0, SIDE_PX, BAND))


def _band(weights: NDArray[np.float64]) -> Band:
    used = np.flatnonzero(weights.any(axis=0))
    start, stop = int(used[0]), int(used[-1]) + 1
    part = weights[:, start:stop].T
    high = np.rint(part / SPLIT)
    halves = np.concatenate([high, part - high * SPLIT], axis=1)
    # Split at 128, sums of 255 x weight stay exact up to sides of some 5,000 px.
    exact = np.abs(halves).sum(axis=0).max() * 255 < 1 << 24
    return Band(start, stop, np.ascontiguousarray(halves, np.float32) if exact else part.copy())


@lru_cache(MAX_CACHED)
def _weights(length: int) -> NDArray[np.float64]:
    """Return the weights (32, length) of Pillow's `precompute_coeffs` and `normalize_coeffs_8bpc`."""
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
    dense = np.zeros((SIDE_PX, length))
    row, column = np.nonzero(pixel < end[:, None])
    whole = np.trunc(weights * PRECISION + np.where(weights < 0, -0.5, 0.5))
    dense[row, pixel[row, column]] = whole[row, column]
    return dense


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = (x >= -LOBES) & (x < LOBES)
    return np.where(inside, _sinc(x) * _sinc(x / LOBES), 0.0)


def _sinc(x: NDArray[np.float64]) -> NDArray[np.float64]:
    turned = x * math.pi
    return np.divide(np.sin(turned), turned, out=np.ones_like(turned), where=turned != 0)
