"""How sure a figure is."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

Interval = tuple[float, float]
Ints = NDArray[np.int64]

CONFIDENCE = 0.95
NUM_RESAMPLES = 1000


def wilson(num_right: int, num: int, confidence: float = CONFIDENCE) -> Interval:
    """Return Wilson's interval of a share."""
    found = binomtest(num_right, num).proportion_ci(confidence_level=confidence, method="wilson")
    return float(found.low), float(found.high)


def clopper_pearson(num_right: int, num: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of a share (Clopper and Pearson, 1934), as CLIP's overlap analysis has it."""
    found = binomtest(num_right, num).proportion_ci(confidence_level=confidence, method="exact")
    return float(found.low), float(found.high)


def bootstrap(
    num: int,
    statistic: Callable[[Ints], float],
    defined: Callable[[Ints], bool] = lambda rows: True,
    *,
    num_resamples: int = NUM_RESAMPLES,
    confidence: float = CONFIDENCE,
) -> Interval:
    """Return the percentile interval of a statistic of rows drawn with replacement from `num`.

    Draws for which it is not `defined` do not count; the same draws every time.
    """
    random = np.random.default_rng(0)
    draws = (random.integers(0, num, num) for _ in range(num_resamples))
    values = [statistic(rows) for rows in draws if defined(rows)]
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def fold_mean(values: Sequence[float]) -> tuple[float, Interval]:
    """Return the mean over folds, or over seeds, and Student's interval of 95 % of that mean.

    Of one value the interval is that value: nothing is known of its spread.
    """
    mean, num = float(np.mean(values)), len(values)
    if num == 1:
        return mean, (mean, mean)
    quantile = float(student.ppf((1 + CONFIDENCE) / 2, num - 1))
    half = quantile * float(np.std(values, ddof=1)) / num**0.5
    return mean, (mean - half, mean + half)
