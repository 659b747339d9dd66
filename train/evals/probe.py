"""The linear probe as CLIP's paper prints it (app. A.3): logistic regression on the features before the
projection, its strength chosen on a validation split, fitted again with that split, tested once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from train.evals.compute import compute_of
from train.evals.intervals import Interval, fold_mean
from train.evals.logistic import Classifiers, Logistic
from train.evals.metrics import Metric, measure
from train.evals.one_vs_rest import OneVsRest, OneVsRestClassifiers
from train.evals.published import published_rows
from train.evals.splits import Learning, Split, Splits
from train.evals.strengths import STRENGTHS, best, search
from train.trained import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Probe(Learning):
    """Learn a linear classifier on the features of labelled pictures, and test it on others.

    Example: python -m train eval probe --run runs/demo --data pictures/train --test-data pictures/test
    --name objects
    """

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file. Raises ValueError for data that cannot be learnt from."""
        folds = [(splits, probe(splits, trained.device)) for splits in self._all_splits(trained)]
        (splits, first), found = folds[0], [probed for _, probed in folds]
        value, interval = first.value, first.interval
        if len(folds) > 1:
            value, interval = fold_mean([probed.value for probed in found])
        result = {
            "data": str(self.data),
            "metric": str(splits.metric),
            "value": value,
            "interval": list(interval),
            "class_names": list(splits.class_names),
            "width": splits.train.features.shape[1],
            "validation_is_of_train": splits.validation_is_of_train,
            "folds": [asdict(probed) for probed in found],
            "bad_pictures": [bad for splits, _ in folds for bad in splits.bad_pictures],
        }
        if self.dataset is not None:
            rows = published_rows(self.dataset, "probe")
            result |= {"dataset": self.dataset, "published": [asdict(row) for row in rows]}
            result["compute"] = compute_of(self.run, trained.step)
        return result

    def summary(self, result: dict[str, Any]) -> str:
        """Return the metric with its interval, and what was chosen, as one line."""
        low, high = (f"{100 * bound:.1f}" for bound in result["interval"])
        first = result["folds"][0]
        return (
            f"{self.name}: linear probe, {result['metric'].replace('_', ' ')} {result['value']:.1%} "
            f"({low} to {high}) of {first['num_test']:,} pictures, learnt from "
            f"{first['num_train'] + first['num_validation']:,} at strength {first['strength']:.3g}"
        )

    def _all_splits(self, trained: TrainedModel) -> list[Splits]:
        return [self.splits(trained, fold) for fold in self.folds()]


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What was found on one fold."""

    strength: float  # scikit-learn's C is 1 / strength
    value: float  # of the metric, on the test pictures
    interval: Interval
    validation: dict[str, float]  # the metric on the validation pictures, by strength visited
    num_train: int
    num_validation: int
    num_test: int
    num_iterations: int  # of the last fit
    converged: bool


def probe(splits: Splits, device: torch.device) -> Probed:
    """Return what the paper's procedure finds."""
    _check(splits)
    num_classes = len(splits.class_names)
    visited = searched(splits.train, splits.validation, splits.metric, num_classes, device)
    strength = STRENGTHS[best(visited)]
    both = splits.train + splits.validation
    last = problem_of(both, splits.metric, num_classes, device).fit([strength])
    value, interval = measured(last, 0, splits.test, splits.metric)
    return Probed(
        strength=strength,
        value=value,
        interval=interval,
        validation={f"{STRENGTHS[place]:.6g}": found for place, found in visited.items()},
        num_train=len(splits.train.labels),
        num_validation=len(splits.validation.labels),
        num_test=len(splits.test.labels),
        num_iterations=last.num_iterations[0],
        converged=last.converged[0],
    )


def searched(
    train: Split, validation: Split, metric: Metric, num_classes: int, device: torch.device
) -> dict[int, float]:
    """Return the metric on the validation pictures at each place of STRENGTHS that the search visits."""
    problem = problem_of(train, metric, num_classes, device)

    def values_of(places: Sequence[int]) -> list[float]:
        found = problem.fit([STRENGTHS[place] for place in places])
        return [measured(found, number, validation, metric)[0] for number in range(len(places))]

    return search(values_of)


def problem_of(split: Split, metric: Metric, num_classes: int, device: torch.device) -> Logistic | OneVsRest:
    """Return what is to be learnt: classes apart, or each from the rest where a picture shows several."""
    kind = OneVsRest if metric is Metric.MAP_11 else Logistic
    return kind(split.features, split.labels, num_classes, device)


def measured(
    found: Classifiers | OneVsRestClassifiers, number: int, split: Split, metric: Metric
) -> tuple[float, Interval]:
    """Return the metric of one of the classifiers on a split, and its interval."""
    # A class that was not trained on is never the best: below every other, but finite.
    scores = np.maximum(found.scores(split.features, number), np.finfo(np.float32).min)
    return measure(metric, split.labels, scores)


def _check(splits: Splits) -> None:
    if not len(splits.validation.labels) or not len(splits.train.labels):
        raise ValueError(
            f"{len(splits.train.labels)} pictures to train with, {len(splits.validation.labels)} to choose "
            f"with: both are needed. Next: more training pictures, or --validation-data"
        )
