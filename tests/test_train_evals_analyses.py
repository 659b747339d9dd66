"""Calibration, choice of templates and shares by group against what is slow and obvious."""

import itertools

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from train.evals.misclassification import shares_by_group
from train.evals.reliability import best_temperature, calibration_error, reliability
from train.evals.template_choice import choose_templates

RANDOM = np.random.default_rng(6)


def test_the_curve_is_that_of_sorting_every_picture_into_its_bin() -> None:
    confidences = np.concatenate([RANDOM.random(300), [0.0, 1.0, 0.2, 0.4]]).astype(np.float32)
    right = RANDOM.random(304) < confidences
    bins = reliability(confidences, right, num_bins=5)
    for found in bins:
        low, high = found["low"], found["high"]
        inside = [
            number
            for number, value in enumerate(confidences)
            if low < value <= high + 1e-7 or (value == 0 and low == 0)
        ]
        assert found["num_pictures"] == len(inside)
        assert found["confidence"] == pytest.approx(np.mean(confidences[inside]))
        assert found["accuracy"] == np.mean(right[inside])
    assert sum(found["num_pictures"] for found in bins) == 304


def test_the_error_is_the_mean_gap_of_the_pictures_bins() -> None:
    bins = reliability(np.array([0.9, 0.9, 0.9, 0.3]), np.array([True, True, False, False]), num_bins=10)
    assert calibration_error(bins) == pytest.approx((3 * abs(2 / 3 - 0.9) + 0.3) / 4)
    assert calibration_error(reliability(np.array([1.0]), np.array([True]))) == 0


def test_a_calibrated_model_has_little_error_and_a_temperature_of_one() -> None:
    logits = RANDOM.normal(size=(20_000, 4)) * 2
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < RANDOM.random((20_000, 1))).sum(axis=1)
    bins = reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels)
    assert calibration_error(bins) < 0.02
    assert best_temperature(logits, labels) == pytest.approx(1, abs=0.05)
    assert best_temperature(3 * logits, labels) == pytest.approx(
        3 * best_temperature(logits, labels), rel=0.01
    )


def test_confidences_that_are_none_are_refused() -> None:
    for confidences, right, message in [
        ([], [], "0 confidences for 0 pictures"),
        ([0.5], [True, False], "1 confidences for 2 pictures"),
        ([1.5], [True], "below 0, above 1 or not a number"),
        ([float("nan")], [True], "below 0, above 1 or not a number"),
    ]:
        with pytest.raises(ValueError, match=message):
            reliability(np.array(confidences), np.array(right, bool))


def test_templates_are_chosen_one_by_one_for_the_best_ensemble() -> None:
    torch.manual_seed(0)
    images, texts = F.normalize(torch.randn(80, 6), dim=-1), F.normalize(torch.randn(7, 5, 6), dim=-1)
    labels = torch.randint(0, 5, (80,))

    def top1(numbers: list[int]) -> float:
        mean = F.normalize(texts[numbers].mean(dim=0), dim=-1)
        return float(((images @ mean.t()).argmax(dim=-1) == labels).double().mean())

    expected: list[int] = []
    for _ in range(4):
        left = [number for number in range(7) if number not in expected]
        expected.append(max(left, key=lambda number: top1([*expected, number])))
    chosen, accuracies = choose_templates(images, labels, texts, 4)
    assert chosen == expected
    assert accuracies == pytest.approx([top1(chosen[: n + 1]) for n in range(4)])
    assert accuracies[0] == max(top1([number]) for number in range(7))


def test_as_many_templates_as_there_are_can_be_chosen_and_no_more() -> None:
    images, texts = F.normalize(torch.randn(4, 3), dim=-1), F.normalize(torch.randn(2, 3, 3), dim=-1)
    assert sorted(choose_templates(images, torch.zeros(4, dtype=torch.int64), texts, 2)[0]) == [0, 1]
    with pytest.raises(ValueError, match="3 of 2 templates cannot be chosen"):
        choose_templates(images, torch.zeros(4, dtype=torch.int64), texts, 3)


def test_shares_are_counted_by_group_and_set() -> None:
    groups, predicted = RANDOM.integers(0, 3, 400), RANDOM.integers(0, 6, 400)
    names, sets = ["a", "b", "c", "nobody"], {"crime": [0, 1], "animals": [5]}
    found = shares_by_group(groups, predicted, names, sets)
    for (name, labels), (number, group) in itertools.product(sets.items(), enumerate("abc")):
        rows = [p in labels for g, p in zip(groups, predicted, strict=True) if g == number]
        share = found[name]["groups"][group]
        assert (share["num_pictures"], share["share"]) == (len(rows), np.mean(rows))
        assert share["interval"][0] < share["share"] < share["interval"][1]
    shares = [share["share"] for share in found["crime"]["groups"].values()]
    assert found["crime"]["gap"] == max(shares) - min(shares)
    assert found["crime"]["groups"].keys() == {"a", "b", "c"}


def test_groups_that_differ_are_told_from_groups_that_do_not() -> None:
    groups = np.repeat([0, 1], 200)
    given = np.r_[np.repeat([1, 0], [60, 140]), np.repeat([1, 0], [20, 180])]
    # By hand: 80 of 400 were given it, so 40 are expected of each 200: 2 x 20^2 / 40 + 2 x 20^2 / 160 = 25.
    assert shares_by_group(groups, given, ["a", "b"], {"x": [1]})["x"]["p_value"] == pytest.approx(
        5.733e-7, rel=1e-3
    )
    assert shares_by_group(groups, given * 0, ["a", "b"], {"x": [1]})["x"]["p_value"] is None
    assert shares_by_group(groups[:200], given[:200], ["a", "b"], {"x": [1]})["x"]["p_value"] is None
