"""Few-shot curves (CLIP, fig. 6 and 7): a linear classifier of 1, 2, 4 or more pictures per class, beside the
zero-shot classifier of the same model, which needs none, and how many pictures that is worth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from train.evals.classification import Classification
from train.evals.intervals import fold_mean
from train.evals.logistic import Logistic
from train.evals.metrics import Metric, measure
from train.evals.probe import measured, probe, searched
from train.evals.splits import Learning, Split, Splits, draw
from train.evals.strengths import STRENGTHS, best
from train.trained import TrainedModel

MAX_HELD_OUT = 4  # pictures per class to choose the strength with, never more than are learnt from


@dataclass(frozen=True, kw_only=True)
class FewShot(Learning):
    """Learn from a few pictures per class, several times from other ones, and compare with zero-shot.

    Example: python -m train eval few_shot --run runs/demo --data pictures/train --test-data pictures/test
    --name objects
    """

    shots: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    """Pictures per class. Numbers for which a class has too few pictures are left out, and named."""
    num_seeds: int = 5
    """How often other pictures are drawn."""
    templates: str | None = None
    """Of the zero-shot classifier: of train/evals/prompts, or a file. Else the dataset's, or "simple"."""
    prompts: Path | None = None
    """A copy of data/prompts.md of CLIP's repository: the paper's own class names and templates."""

    def __post_init__(self) -> None:
        Learning.__post_init__(self)
        if not self.shots or min(self.shots) < 1 or sorted(set(self.shots)) != list(self.shots):
            raise ValueError(f"shots are {self.shots}, must be 1 or more and rise. Next: --shots 1 2 4 8 16")
        if self.num_seeds < 1:
            raise ValueError(f"num_seeds is {self.num_seeds}, must be 1 or more. Next: leave it out")

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file. Raises ValueError for data that cannot be learnt from."""
        fold = self.fold or 1
        splits = self.splits(trained, fold)
        if splits.metric is Metric.MAP_11:
            raise ValueError("a picture shows several classes: there is no number of pictures per class")
        zero = self._zero_shot(trained, fold)
        pool = splits.train + splits.validation if splits.validation_is_of_train else splits.train
        smallest = _smallest_class(pool)
        used = [num for num in self.shots if num < smallest]
        curve = [self._point(num, pool, splits, trained.device) for num in used]
        full = probe(splits, trained.device)
        per_class = (full.num_train + full.num_validation) / len(splits.class_names)
        points = [(float(point["shots"]), point["value"]) for point in curve] + [(per_class, full.value)]
        return {
            "data": str(self.data),
            "curve_metric": str(splits.metric),
            "class_names": list(splits.class_names),
            "zero_shot": zero,
            "curve": curve,
            "all_pictures": {"per_class": per_class, "value": full.value, "interval": list(full.interval)},
            "left_out": {str(num): smallest for num in self.shots if num not in used},
            "zero_shot_is_worth": worth(zero["value"], points),
            "num_test": full.num_test,
            "bad_pictures": list(splits.bad_pictures),
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return the curve and what zero-shot is worth, as one line."""
        curve = ", ".join(f"{point['shots']}: {point['value']:.1%}" for point in result["curve"])
        found = result["zero_shot_is_worth"]
        said = (
            "more pictures per class than there are" if found is None else f"{found:.1f} pictures per class"
        )
        return (
            f"{self.name}: pictures per class and {result['curve_metric'].replace('_', ' ')}: "
            f"0: {result['zero_shot']['value']:.1%}, {curve}, all: {result['all_pictures']['value']:.1%}; "
            f"zero-shot is worth {said}"
        )

    def _zero_shot(self, trained: TrainedModel, fold: int) -> dict[str, Any]:
        request = Classification(
            run=self.run,
            data=self.data if self.test_data is None else self.test_data,
            name=self.name,
            dataset=self.dataset,
            templates=self.templates,
            prompts=self.prompts,
            batch_size=self.batch_size,
        )
        found = request.classified(trained, fold if fold in request.folds() else 1)
        value, interval = measure(found.opened.metric, found.labels, found.logits)
        return {"value": value, "interval": list(interval), "templates": found.opened.templates}

    def _point(self, num: int, pool: Split, splits: Splits, device: torch.device) -> dict[str, Any]:
        found = [few(pool, splits, num, seed, device) for seed in range(self.num_seeds)]
        value, interval = fold_mean([value for value, _ in found])
        return {
            "shots": num,
            "value": value,
            "interval": list(interval),
            "values": [value for value, _ in found],
            "strengths": [strength for _, strength in found],
        }


def few(pool: Split, splits: Splits, num: int, seed: int, device: torch.device) -> tuple[float, float]:
    """Return the metric on the test pictures of what was learnt from `num` of each class, and the strength.

    The strength is searched as a probe's is, with up to four other pictures of each class.
    """
    learnt, held = drawn(pool, num, seed)
    num_classes = len(splits.class_names)
    some = pool.rows(learnt)
    visited = searched(some, pool.rows(held), splits.metric, num_classes, device)
    strength = STRENGTHS[best(visited)]
    last = Logistic(some.features, some.labels, num_classes, device).fit([strength])
    return measured(last, 0, splits.test, splits.metric)[0], strength


def drawn(pool: Split, num: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `num` pictures of each class to learn from, and up to four others of each to choose with.

    Of a seed, what is learnt from a few is also among the more.
    """
    order = np.array([draw(1 + seed, key) for key in pool.keys]).argsort(kind="stable")
    learnt, held = [], []
    for label in np.unique(pool.labels):
        own = order[pool.labels[order] == label]
        learnt.append(own[:num])
        held.append(own[num:][-min(MAX_HELD_OUT, num) :])
    return np.sort(np.concatenate(learnt)), np.sort(np.concatenate(held))


def worth(zero_shot: float, points: Sequence[tuple[float, float]]) -> float | None:
    """Return how many pictures per class a classifier needs to match zero-shot: the first crossing of the
    curve through `points` (pictures per class, value), which is straight over the logarithm of their number.

    Below the first point its first stretch is continued; None where the curve stays below zero-shot.

    >>> round(worth(0.6, [(1, 0.4), (4, 0.8), (16, 0.9)]), 9)
    2.0
    """
    if points[0][1] >= zero_shot:
        return _crossing(zero_shot, points[0], points[1]) if _rises(points[:2]) else points[0][0]
    for one, other in pairwise(points):
        if other[1] >= zero_shot:
            return _crossing(zero_shot, one, other)
    return None


def _crossing(value: float, one: tuple[float, float], other: tuple[float, float]) -> float:
    share = (value - one[1]) / (other[1] - one[1])
    return float(np.exp(log(one[0]) + share * (log(other[0]) - log(one[0]))))


def _rises(points: Sequence[tuple[float, float]]) -> bool:
    return len(points) == 2 and points[1][1] > points[0][1]


def _smallest_class(pool: Split) -> int:
    return int(np.unique(pool.labels, return_counts=True)[1].min())
