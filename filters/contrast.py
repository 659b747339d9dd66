"""Whether anything is to be seen in a picture: blank ones are no use, and their hashes are noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from filters.reasons import Drop, Reason


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """The limit on how much of a picture differs from its mean."""

    min_contrast: float = 1.0
    """Standard deviation of its 32 x 32 greys, in levels of 255; 0 keeps all. Of 10,600 real pictures those
    below 1 are all of one colour, and faint outlines and small drawings on white begin at 1."""

    def __post_init__(self) -> None:
        """Raise ValueError at a limit that no picture can keep."""
        if not 0 <= self.min_contrast <= 127:
            raise ValueError(f"min_contrast {self.min_contrast} of 255 levels: give 0 to 127; 1 is usual")

    def measure(self, grey: NDArray[np.uint8]) -> float:
        """Return the standard deviation of the greys (32, 32) that the hash is made of."""
        return float(grey.std())

    def check(self, contrast: float, /) -> Drop | None:
        """Return why a picture of this contrast is dropped, or None to keep it."""
        if contrast < self.min_contrast:
            return Drop(Reason.IMAGE_FLAT, f"contrast {contrast:.2f} < {self.min_contrast:g} levels")
        return None
