"""What an overlap with the training pictures did to an accuracy (CLIP, sec. 5)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.995  # of the Clopper-Pearson interval, as in the paper


def split_accuracies(correct: NDArray[np.bool_], overlapping: NDArray[np.bool_]) -> dict[str, Any]:
    """Return accuracies over All, Clean (without a near-duplicate in training) and Overlap, and how likely.

    Args:
        correct: (N,) whether a picture was classified rightly.
        overlapping: (N,) whether training held a near-duplicate of it.

    `gain` is Acc(All) - Acc(Clean), the paper's main figure. `p_value` is of the one-tailed binomial test
    that accuracy on Overlap is greater than that on Clean. An accuracy of no pictures is null, and so is what
    follows from it. Raises ValueError for no pictures at all.
    """
    if not len(correct) or len(correct) != len(overlapping):
        raise ValueError(
            f"{len(correct)} results for {len(overlapping)} pictures: need one each, at least one"
        )
    overlap, clean = correct[overlapping], correct[~overlapping]
    result: dict[str, Any] = {
        "num_pictures": len(correct),
        "num_overlap": len(overlap),
        "contamination": len(overlap) / len(correct),
        "accuracy_all": _accuracy(correct),
        "accuracy_clean": _accuracy(clean),
        "accuracy_overlap": _accuracy(overlap),
        "gain": _accuracy(correct) - _accuracy(clean),
        "overlap_interval": None,
        "p_value": None,
    }
    if len(overlap):
        test = binomtest(int(overlap.sum()), len(overlap), alternative="two-sided")
        interval = test.proportion_ci(confidence_level=CONFIDENCE, method="exact")
        result["overlap_interval"] = [interval.low, interval.high]
    if len(overlap) and len(clean):
        greater = binomtest(int(overlap.sum()), len(overlap), _accuracy(clean), alternative="greater")
        result["p_value"] = float(greater.pvalue)
    return {name: None if _is_nan(value) else value for name, value in result.items()}


def _accuracy(correct: Sequence[bool] | NDArray[np.bool_]) -> float:
    return float(np.mean(correct)) if len(correct) else math.nan


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)
