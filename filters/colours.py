"""A second opinion on copies: the perceptual hash sees no colours, so drawings in other colours look alike.

The opinion compares the mean colours of 4 x 4 cells, 48 bytes, as 96 hex digits.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filters.looks import CELLS, cell_means

NO_COLOUR = 8  # levels between the channels of any cell of a grey picture, JPEG's rounding included
_LUMA = np.array([0.299, 0.587, 0.114])

Cells = NDArray[np.uint8]  # (N, 16, 3), RGB


def colours_of(image: Image.Image) -> str:
    """Return the mean RGB of each of 4 x 4 cells, row by row, as 96 hex digits.

    >>> colours_of(Image.new("RGB", (10, 10), (255, 0, 1)))[:12]
    'ff0001ff0001'
    """
    return cell_means(image).hex()


def differences(one: Cells, other: Cells) -> NDArray[np.float64]:
    """Return (N,): the greatest difference of any cell and channel, in levels of 255, of pairs (N, 16, 3).

    Where one of a pair is grey and the other is not, their greys are compared: copies may lose their colours.
    """
    apart: NDArray[np.float64] = np.abs(one.astype(np.int16) - other).max(axis=(1, 2)).astype(np.float64)
    mixed = np.flatnonzero(_is_grey(one) != _is_grey(other))
    apart[mixed] = np.abs(one[mixed] @ _LUMA - other[mixed] @ _LUMA).max(axis=1)
    return apart


def cells_of(colours: list[str]) -> Cells:
    """Return what `colours_of` gave for N pictures as (N, 16, 3)."""
    return np.frombuffer(bytes.fromhex("".join(colours)), np.uint8).reshape(-1, CELLS * CELLS, 3)


def agree(one: list[str | None], other: list[str | None], max_difference: float) -> NDArray[np.bool_]:
    """Return (N,) whether two pictures may be copies by their colours; those of unknown ones always may."""
    known = np.array([a is not None and b is not None for a, b in zip(one, other, strict=True)], dtype=bool)
    sides = [cells_of([side[n] or "" for n in np.flatnonzero(known)]) for side in (one, other)]
    agreed = np.ones(len(known), dtype=bool)
    agreed[known] = differences(*sides) <= max_difference
    return agreed


def _is_grey(cells: Cells) -> NDArray[np.bool_]:
    spread = cells.max(axis=2).astype(np.int16) - cells.min(axis=2)
    return np.asarray(spread.max(axis=1) <= NO_COLOUR)
