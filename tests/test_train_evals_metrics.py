"""Metrics against scikit-learn's, or against what is slow and obvious."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from train.evals.intervals import bootstrap, clopper_pearson, fold_mean, wilson
from train.evals.metrics import (
    Metric,
    average_precision,
    check_finite,
    in_top,
    mean_average_precision,
    mean_per_class,
    measure,
    pack_label,
    roc_auc,
    top_classes,
    unpack_labels,
)

oracle = pytest.importorskip("sklearn.metrics", reason="scikit-learn, the oracle, is not installed")
Case = tuple[NDArray[np.int64], NDArray[np.float64]]


def cases() -> list[Case]:
    """Return labels and scores: random, with many ties, a class missing, two classes, one picture."""
    random = np.random.default_rng(1)
    scores = random.normal(size=(200, 7))
    return [
        (random.integers(0, 7, 200), scores),
        (random.integers(0, 7, 200), scores.round()),
        (random.integers(0, 3, 200), scores),
        (random.integers(0, 2, 60), scores[:60, :2].round(1)),
        (np.array([2]), scores[:1]),
        (np.array([0, 0]), np.zeros((2, 3))),
    ]


@pytest.mark.parametrize(("labels", "scores"), cases())
@pytest.mark.parametrize("k", [1, 2, 5, 99])
def test_top_k_equals_sorting_every_row(
    labels: NDArray[np.int64], scores: NDArray[np.float64], k: int
) -> None:
    ranked = [sorted(range(len(row)), key=lambda number: (-row[number], number))[:k] for row in scores]
    assert top_classes(scores, k).tolist() == ranked
    assert in_top(labels, scores, k).tolist() == [
        label in best for label, best in zip(labels, ranked, strict=True)
    ]


@pytest.mark.parametrize(("labels", "scores"), cases())
def test_mean_per_class_is_the_macro_recall_of_the_classes_that_have_pictures(
    labels: NDArray[np.int64], scores: NDArray[np.float64]
) -> None:
    predicted = scores.argmax(axis=1)
    expected = oracle.recall_score(labels, predicted, labels=np.unique(labels), average="macro")
    assert mean_per_class(labels, predicted, scores.shape[1]) == pytest.approx(expected)


@pytest.mark.parametrize("digits", [1, 8])
def test_roc_auc_equals_scikit_learns_with_ties_too(digits: int) -> None:
    random = np.random.default_rng(2)
    labels, scores = random.integers(0, 2, 300), random.normal(size=300).round(digits)
    assert roc_auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores))
    assert roc_auc(np.array([1, 0]), np.array([0.0, 0.0])) == 0.5
    with pytest.raises(ValueError, match="2 pictures of class 1 and 0 of class 0"):
        roc_auc(np.array([1, 1]), np.array([0.0, 1.0]))


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_average_precision_is_the_highest_precision_at_each_of_11_recalls(digits: int) -> None:
    random = np.random.default_rng(3)
    for size in (1, 2, 11, 200):
        shown, scores = random.random(size) < 0.3, random.normal(size=size).round(digits)
        shown[random.integers(size)] = True
        precision, recall, _ = oracle.precision_recall_curve(shown, scores)
        # The last point, precision 1 at recall 0, is scikit-learn's own addition.
        points = list(zip(precision[:-1], recall[:-1], strict=True))
        best = [max(p for p, r in points if r >= at / 10 - 1e-9) for at in range(11)]
        assert average_precision(shown, scores) == pytest.approx(sum(best) / 11)


def test_a_class_that_nobody_shows_and_pictures_that_do_not_count_are_left_out() -> None:
    labels = np.array([pack_label([0], [], 3), pack_label([1], [0], 3), pack_label([0, 1], [], 3)])
    shown, counted = unpack_labels(labels, 3)
    scores = np.array([[0.1, 0.2, 0.3], [0.9, 0.9, 0.9], [0.5, 0.1, 0.1]])
    first = average_precision(shown[[0, 2], 0], scores[[0, 2], 0])  # the second picture is difficult for it
    second = average_precision(shown[:, 1], scores[:, 1])
    assert mean_average_precision(shown, scores, counted) == pytest.approx((first + second) / 2)
    assert measure(Metric.MAP_11, labels, scores)[0] == pytest.approx((first + second) / 2)
    with pytest.raises(ValueError, match="no picture shows any class"):
        mean_average_precision(shown & False, scores)


def test_every_metric_has_an_interval_around_it() -> None:
    labels, scores = cases()[0]
    for metric in (Metric.ACCURACY, Metric.MEAN_PER_CLASS, Metric.TOP1_TOP5):
        value, (low, high) = measure(metric, labels, scores)
        assert 0 <= low < value < high <= 1
    value, (low, high) = measure(Metric.ROC_AUC, *cases()[3])
    assert low < value < high
    halves = (in_top(labels, scores, 1).mean() + in_top(labels, scores, 5).mean()) / 2
    assert measure(Metric.TOP1_TOP5, labels, scores)[0] == pytest.approx(halves)


def test_wilsons_interval_is_its_formula() -> None:
    for right, num in [(0, 5), (5, 5), (37, 100), (1, 1)]:
        z, share = 1.959963984540054, right / num
        centre = (share + z * z / (2 * num)) / (1 + z * z / num)
        half = z * math.sqrt(share * (1 - share) / num + z * z / (4 * num * num)) / (1 + z * z / num)
        assert wilson(right, num) == pytest.approx((max(0, centre - half), min(1, centre + half)), abs=1e-12)


def test_the_exact_interval_holds_the_shares_that_the_counts_do_not_rule_out() -> None:
    low, high = clopper_pearson(37, 100)
    below = sum(math.comb(100, k) * high**k * (1 - high) ** (100 - k) for k in range(38))
    above = sum(math.comb(100, k) * low**k * (1 - low) ** (100 - k) for k in range(37, 101))
    assert (below, above) == pytest.approx((0.025, 0.025), rel=1e-6)
    assert clopper_pearson(0, 10)[0] == 0


def test_the_bootstrap_of_a_mean_is_near_its_standard_error() -> None:
    values = np.random.default_rng(4).normal(size=400)
    low, high = bootstrap(400, lambda rows: float(values[rows].mean()))
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)


def test_folds_are_averaged_and_one_fold_has_no_width() -> None:
    assert fold_mean([0.5]) == (0.5, (0.5, 0.5))
    # Student's quantile of 97.5 % with 2 degrees of freedom is 4.3027; the standard error is 0.1 / sqrt(3).
    mean, (low, high) = fold_mean([0.4, 0.5, 0.6])
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - 0.24841, 0.5 + 0.24841), abs=1e-5)


def test_what_cannot_be_measured_is_refused_in_one_line() -> None:
    scores = np.zeros((3, 2))
    for labels, given, message in [
        ([0, 1], scores, r"2 labels for scores of shape \(3, 2\)"),
        ([], scores[:0], "0 labels"),
        ([0, 1, 2], scores, "label 2 is none of the 2 classes"),
        ([0, 1, -1], scores, "label -1 is none"),
        ([0, 1, 1], scores + np.array([[0], [np.nan], [np.inf]]), "scores: 2 of 3 rows hold NaN or infinity"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            measure(Metric.ACCURACY, np.array(labels, np.int64), given)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"image features: 1 of 2 rows .* the first is row 1"):
        check_finite(np.array([[1.0], [np.nan]]), "image features")
