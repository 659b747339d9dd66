"""How far a classifier's confidence is its accuracy: reliability curve and expected calibration error."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
NUM_BINS = 15  # as in Guo et al., 2017


def reliability(
    confidences: Floats, right: NDArray[np.bool_], num_bins: int = NUM_BINS
) -> list[dict[str, Any]]:
    """Return bins of equal width of confidences (N,) in [0, 1] with their pictures' mean confidence, accuracy
    and number; a bin (low, high] without pictures is left out.

    Raises ValueError for no pictures and for confidences that are none.
    """
    if len(confidences) != len(right) or not len(right):
        raise ValueError(
            f"{len(confidences)} confidences for {len(right)} pictures: need one each, at least one"
        )
    if not ((confidences >= 0) & (confidences <= 1)).all():
        raise ValueError("a confidence is below 0, above 1 or not a number. Next: check the checkpoint")
    place = np.clip(np.ceil(confidences * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    return [
        {
            "low": number / num_bins,
            "high": (number + 1) / num_bins,
            "num_pictures": int((place == number).sum()),
            "confidence": float(confidences[place == number].mean(dtype=np.float64)),
            "accuracy": float(right[place == number].mean()),
        }
        for number in np.unique(place).tolist()
    ]


def calibration_error(bins: list[dict[str, Any]]) -> float:
    """Return the expected calibration error: the mean of |accuracy - confidence| of each picture's bin."""
    gaps = [abs(part["accuracy"] - part["confidence"]) * part["num_pictures"] for part in bins]
    return float(sum(gaps) / sum(part["num_pictures"] for part in bins))


def best_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """Return what logits (N, C) are best divided by, for the highest likelihood of the labels (N,).

    The likelihood has one peak in 1 / temperature, which bisection of its slope finds within 0.1 %.
    """
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    own = np.take_along_axis(centred, labels[:, None], axis=1)[:, 0].mean()

    def slope(inverse: float) -> float:
        weights = np.exp(centred * inverse)
        expected = (weights * centred).sum(axis=1) / weights.sum(axis=1)
        return float(own - expected.mean())  # of the mean log-likelihood; it falls with `inverse`

    low, high = 1e-4, 1e4
    while high / low > 1.001:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return float(1 / (low * high) ** 0.5)
