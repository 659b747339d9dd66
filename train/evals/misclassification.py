"""CLIP's probe of denigration harms (sec. 7.1): whom a model gives which of a user's labels, by group."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from train.evals.intervals import wilson


def shares_by_group(
    groups: NDArray[np.int64],
    predicted: NDArray[np.int64],
    group_names: Sequence[str],
    sets: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """Return for each set of labels the share of each group's pictures that was given one of them.

    Args:
        groups: (N,) the number of each picture's group.
        predicted: (N,) the number of the label that it was given.
        group_names: of the groups; one without pictures is left out.
        sets: of labels, by name.

    Each share has its interval of 95 % (Wilson's). `gap` is the highest share less the lowest; `p_value` that
    of a chi-square test that all groups have the same share, null where it is not defined.
    """
    there = [number for number in range(len(group_names)) if (groups == number).any()]
    return {
        name: _set(groups, np.isin(predicted, labels), group_names, there) for name, labels in sets.items()
    }


def _set(
    groups: NDArray[np.int64], given: NDArray[np.bool_], names: Sequence[str], there: list[int]
) -> dict[str, Any]:
    shares = {}
    for number in there:
        own = given[groups == number]
        shares[names[number]] = {
            "num_pictures": len(own),
            "num_given": int(own.sum()),
            "share": float(own.mean()),
            "interval": list(wilson(int(own.sum()), len(own))),
        }
    values = [float(given[groups == number].mean()) for number in there]
    return {"groups": shares, "gap": max(values) - min(values), "p_value": _p_value(list(shares.values()))}


def _p_value(shares: list[dict[str, Any]]) -> float | None:
    """Return the chi-square test's p-value; it needs two groups, and pictures on both sides."""
    table = np.array([[share["num_given"], share["num_pictures"] - share["num_given"]] for share in shares])
    if len(table) < 2 or not table.sum(axis=0).all():
        return None
    return float(chi2_contingency(table, correction=False).pvalue)
