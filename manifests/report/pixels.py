"""What is measured in decoded pictures: entropy, contrast and mean colour, of a bounded sample."""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageStat

SIDE_PX = 128  # pictures are measured no larger than this; entropy hardly changes above it
ENTROPY_STEP = 0.5  # bits
CONTRAST_STEP = 8  # levels of 255


@dataclass(slots=True)
class PixelFigures:
    """Counts of measured pictures by step of each measure."""

    num_measured: int = 0
    num_unreadable: int = 0
    entropies: Counter[int] = field(default_factory=Counter)  # of the greys, by ENTROPY_STEP
    contrasts: Counter[int] = field(default_factory=Counter)  # standard deviation of greys, by CONTRAST_STEP
    means: list[tuple[float, ...]] = field(default_factory=list)  # red, green, blue of each picture


def measure_pictures(pictures: Iterable[bytes]) -> PixelFigures:
    """Return the measures of encoded pictures; those that cannot be decoded are counted."""
    figures = PixelFigures()
    for data in pictures:
        try:
            with Image.open(io.BytesIO(data)) as opened:
                opened.draft("RGB", (SIDE_PX, SIDE_PX))
                picture = opened.convert("RGB")
        except (OSError, ValueError, Image.DecompressionBombError):
            figures.num_unreadable += 1
            continue
        picture.thumbnail((SIDE_PX, SIDE_PX))
        grey = picture.convert("L")
        figures.num_measured += 1
        figures.entropies[int(grey.entropy() / ENTROPY_STEP)] += 1
        figures.contrasts[int(np.asarray(grey).std() / CONTRAST_STEP)] += 1
        figures.means.append(tuple(ImageStat.Stat(picture).mean))
    return figures
