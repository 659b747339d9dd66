"""What an evaluation measures (CLIP, table 9).

Scores are (N, C), higher is better; labels (N,) are numbers of classes. A multi-label dataset's label is a
number in bits: bit c says that a picture shows class c, bit C + c that it does not count for class c.
"""

from collections.abc import Sequence
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from train.evals.intervals import NUM_RESAMPLES, Interval, bootstrap, wilson

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]

RECALLS = np.linspace(0, 1, 11)  # of VOC 2007's average precision


class Metric(StrEnum):
    """The metric of a dataset's published results."""

    ACCURACY = "accuracy"
    MEAN_PER_CLASS = "mean_per_class"
    MAP_11 = "map_11_points"
    ROC_AUC = "roc_auc"
    TOP1_TOP5 = "mean_of_top1_and_top5"


def measure(metric: Metric, labels: Ints, scores: Floats) -> tuple[float, Interval]:
    """Return a metric of scores (N, C) for labels (N,), and its interval of 95 %.

    Wilson's for an accuracy, of 1,000 bootstrap samples of the pictures else. Raises ValueError for no
    pictures, for scores that are not finite, for labels that are no class, and for what is not defined: a
    ROC-AUC without both classes, an average precision without a picture of any class.
    """
    check_scores(labels, scores, multi_label=metric is Metric.MAP_11)
    if metric is Metric.ACCURACY:
        right = in_top(labels, scores, 1)
        return float(right.mean()), wilson(int(right.sum()), len(right))
    if metric is Metric.TOP1_TOP5:
        halves = (in_top(labels, scores, 1) + in_top(labels, scores, 5).astype(float)) / 2
        return float(halves.mean()), bootstrap(len(labels), lambda rows: float(halves[rows].mean()))
    if metric is Metric.MEAN_PER_CLASS:
        predicted, num_classes = top_classes(scores, 1)[:, 0], scores.shape[1]
        return mean_per_class(labels, predicted, num_classes), bootstrap(
            len(labels), lambda rows: mean_per_class(labels[rows], predicted[rows], num_classes)
        )
    if metric is Metric.ROC_AUC:
        margin = scores[:, 1] - scores[:, 0]
        value = roc_auc(labels, margin)
        return value, bootstrap(
            len(labels), lambda rows: roc_auc(labels[rows], margin[rows]), lambda rows: _both(labels[rows])
        )
    shown, counted = unpack_labels(labels, scores.shape[1])
    return mean_average_precision(shown, scores, counted), bootstrap(
        len(labels),
        lambda rows: mean_average_precision(shown[rows], scores[rows], counted[rows]),
        lambda rows: bool((shown[rows] & counted[rows]).any()),
        num_resamples=NUM_RESAMPLES // 5,  # it sorts N pictures for each class
    )


def top_classes(scores: Floats, k: int) -> Ints:
    """Return the k classes (N, k) of the highest scores; of equal ones the lower number first."""
    order: Ints = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return order


def in_top(labels: Ints, scores: Floats, k: int) -> NDArray[np.bool_]:
    """Return (N,) whether the label is among the k classes of the highest scores, ties as `top_classes`."""
    own = np.take_along_axis(scores, labels[:, None], axis=1)
    earlier = np.arange(scores.shape[1]) < labels[:, None]
    rank = ((scores > own) | ((scores == own) & earlier)).sum(axis=1)
    found: NDArray[np.bool_] = rank < k
    return found


def mean_per_class(labels: Ints, predicted: Ints, num_classes: int) -> float:
    """Return the mean over the classes of the share of their pictures that was predicted rightly.

    A class without pictures does not count.
    """
    num_pictures = np.bincount(labels, minlength=num_classes)
    num_right = np.bincount(labels[labels == predicted], minlength=num_classes)
    known = num_pictures > 0
    return float((num_right[known] / num_pictures[known]).mean())


def mean_average_precision(
    shown: NDArray[np.bool_], scores: Floats, counted: NDArray[np.bool_] | None = None
) -> float:
    """Return the mean over classes of VOC 2007's 11-point average precision of scores (N, C).

    Args:
        shown: (N, C) whether a picture shows a class.
        scores: (N, C).
        counted: (N, C) whether it counts for the class: VOC leaves pictures of difficult objects out.

    A class that no picture shows does not count. Equal scores enter together, in whatever order they came.
    """
    counted = np.ones_like(shown) if counted is None else counted
    values = [
        average_precision(shown[counted[:, number], number], scores[counted[:, number], number])
        for number in range(shown.shape[1])
        if (shown[:, number] & counted[:, number]).any()
    ]
    if not values:
        raise ValueError("no picture shows any class: there is no average precision. Next: check the labels")
    return float(np.mean(values))


def average_precision(shown: NDArray[np.bool_], scores: Floats) -> float:
    """Return one class's 11-point average precision: the mean over recalls 0, 0.1 to 1 of the highest
    precision at that recall or more (VOC 2007 development kit, sec. 3.4.1).
    """
    order = np.argsort(-scores, kind="stable")
    found = np.cumsum(shown[order])
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)  # equal scores enter together
    recall, precision = found[ends] / found[-1], found[ends] / (ends + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or more
    return float(best[np.searchsorted(recall, RECALLS - 1e-12)].mean())


def roc_auc(labels: Ints, scores: NDArray[np.floating]) -> float:
    """Return the share of pairs of a 1 and a 0 that scores (N,) order rightly; equal scores count half."""
    positive = labels == 1
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    if not num_positive or not num_negative:
        raise ValueError(
            f"{num_positive} pictures of class 1 and {num_negative} of class 0: a ROC-AUC needs both. "
            f"Next: check the labels"
        )
    below = rankdata(scores)[positive].sum() - num_positive * (num_positive + 1) / 2
    return float(below / (num_positive * num_negative))


def unpack_labels(labels: Ints, num_classes: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return what multi-label labels (N,) say: which classes are shown, and which count, both (N, C)."""
    bits = (labels[:, None] >> np.arange(2 * num_classes)) & 1
    return bits[:, :num_classes] == 1, bits[:, num_classes:] == 0


def pack_label(shown: Sequence[int], not_counted: Sequence[int], num_classes: int) -> int:
    """Return the multi-label label of the classes a picture shows and of those it does not count for.

    >>> pack_label([0, 2], [1], num_classes=3)
    21
    """
    return sum(1 << number for number in shown) + sum(1 << num_classes + number for number in not_counted)


def check_finite(features: NDArray[np.floating], what: str) -> None:
    """Raise ValueError, naming how many rows, where features (N, D) are not finite."""
    bad = ~np.isfinite(features).all(axis=tuple(range(1, features.ndim)))
    if bad.any():
        raise ValueError(
            f"{what}: {int(bad.sum())} of {len(bad)} rows hold NaN or infinity, the first is row "
            f"{int(bad.argmax())}. Next: check the checkpoint they come from"
        )


def check_scores(labels: Ints, scores: Floats, *, multi_label: bool = False) -> None:
    """Raise ValueError where scores (N, C) and labels (N,) cannot be measured."""
    if scores.ndim != 2 or len(labels) != len(scores) or not len(labels):
        raise ValueError(
            f"{len(labels)} labels for scores of shape {scores.shape}: need one row each, at least one"
        )
    check_finite(scores, "scores")
    num_numbers = 1 << 2 * scores.shape[1] if multi_label else scores.shape[1]
    wrong = (labels < 0) | (labels >= num_numbers)
    if wrong.any():
        raise ValueError(
            f"label {labels[wrong][0]} is none of the {scores.shape[1]} classes. Next: check the class list"
        )


def _both(labels: Ints) -> bool:
    return bool((labels == 1).any() and (labels != 1).any())
