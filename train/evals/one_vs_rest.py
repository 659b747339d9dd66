"""Logistic regression where a picture may show several classes: each class against all others (VOC 2007)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from train.evals.logistic import Classifiers, Floats, Ints, Logistic
from train.evals.metrics import unpack_labels


@dataclass(frozen=True, kw_only=True)
class OneVsRestClassifiers:
    """For each of S strengths a classifier of two for each class."""

    of_classes: tuple[Classifiers | None, ...]  # None: a class that all training pictures show, or none does

    def scores(self, features: Floats, number: int = 0) -> Floats:
        """Return (N, K) how much rather each class is shown than not, by one of the strengths."""
        columns = [
            np.zeros(len(features)) if found is None else np.diff(found.scores(features, number))[:, 0]
            for found in self.of_classes
        ]
        return np.stack(columns, axis=1)

    @property
    def num_iterations(self) -> tuple[int, ...]:
        """The most that any class took, by strength."""
        known = [found.num_iterations for found in self.of_classes if found]
        return tuple(max(each) for each in zip(*known, strict=True))

    @property
    def converged(self) -> tuple[bool, ...]:
        """Whether all classes did, by strength."""
        known = [found.converged for found in self.of_classes if found]
        return tuple(all(each) for each in zip(*known, strict=True))


class OneVsRest:
    """Features (N, D) and multi-label labels (N,) as `train.evals.metrics` packs them, for all strengths.

    Of a class only the pictures that count for it are learnt from. Raises ValueError as `Logistic` does.
    """

    def __init__(self, features: Floats, labels: Ints, num_classes: int, device: torch.device) -> None:
        shown, counted = unpack_labels(labels, num_classes)
        self._problems: list[Logistic | None] = []
        for number in range(num_classes):
            rows = counted[:, number]
            own = shown[rows, number].astype(np.int64)
            both = 0 < own.sum() < len(own)
            self._problems.append(Logistic(features[rows], own, 2, device) if both else None)
        if not any(self._problems):
            raise ValueError(
                "no class is shown by some of the pictures and not by others. Next: check --data"
            )

    def fit(self, strengths: Sequence[float]) -> OneVsRestClassifiers:
        """Return the classifiers of each strength."""
        return OneVsRestClassifiers(
            of_classes=tuple(problem.fit(strengths) if problem else None for problem in self._problems)
        )
