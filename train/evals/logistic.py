"""Multinomial logistic regression with an L2 penalty, for many strengths of it at once.

The loss is the sum of the pictures' cross-entropies plus strength / 2 times the squared weights, without the
biases: scikit-learn's LogisticRegression of C = 1 / strength. Two classes are there one, told from nothing:
the penalty is that of the difference of their weights.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from train.evals.lbfgs import minimise
from train.evals.metrics import check_finite

MAX_ITERATIONS = 1000  # the paper's
TOLERANCE = 1e-6  # of what the features say beyond the classes' shares: less is seen in no accuracy
_LOGITS_AT_ONCE = 4 << 20  # numbers: 16 MB
_ROWS_AT_ONCE = 8192

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Classifiers:
    """A linear classifier for each of S strengths."""

    strengths: tuple[float, ...]
    weights: Tensor  # (S, K, D)
    biases: Tensor  # (S, K); minus infinity for classes that were not trained on
    num_iterations: tuple[int, ...]
    converged: tuple[bool, ...]

    def scores(self, features: Floats, number: int = 0) -> Floats:
        """Return the logits (N, K) of features (N, D) by one of the classifiers."""
        weights, biases = self.weights[number].cpu().numpy(), self.biases[number].cpu().numpy()
        found: Floats = np.asarray(features, weights.dtype) @ weights.T + biases
        return found

    def accuracies(self, features: Floats, labels: Ints) -> list[float]:
        """Return the share of pictures that each classifier sorts rightly."""
        wanted = range(len(self.strengths))
        return [float((self.scores(features, number).argmax(1) == labels).mean()) for number in wanted]


class Logistic:
    """Pictures to be told apart: features (N, D) and labels (N,), prepared once for all strengths.

    Features are centred and turned to their principal axes, which changes no optimum, because biases are free
    and squared weights do not see a turn. There the Hessian is nearly diagonal, and is known for every
    strength: some tens of iterations do the work of hundreds.

    Raises ValueError for features that are not finite, labels that are no class, or fewer than two classes.
    """

    def __init__(
        self, features: Floats, labels: Ints, num_classes: int, device: torch.device | None = None
    ) -> None:
        _check(features, labels, num_classes)
        self._classes = np.unique(labels)
        self._num_classes = num_classes
        device = device or torch.device("cpu")
        self._mean, covariance = _moments(features, device)
        variances, axes = torch.linalg.eigh(covariance)
        # An axis along which nothing but rounding varies would be scaled up without end.
        kept = variances > 1e-12 * variances.max()
        self._axes, variances = axes[:, kept], variances[kept]
        self._variances = torch.cat([variances, torch.ones(1, device=device, dtype=torch.float64)])
        kind = torch.float64 if features.dtype == np.float64 else torch.float32
        self._rows = torch.ones(
            len(features), len(variances) + 1, dtype=kind, device=device
        )  # a bias's 1 last
        for number, own in enumerate(_chunks(features, device)):
            start = number * _ROWS_AT_ONCE
            self._rows[start : start + len(own), :-1] = (own - self._mean) @ self._axes
        self._labels = torch.tensor(np.searchsorted(self._classes, labels), device=device)

    def fit(self, strengths: Sequence[float], max_iterations: int = MAX_ITERATIONS) -> Classifiers:
        """Return a classifier for each strength."""
        number, width = len(self._rows), self._rows.shape[1]
        penalties = torch.tensor(strengths, dtype=torch.float64, device=self._rows.device)[:, None]
        penalties = penalties.expand(-1, width).clone()
        penalties[:, -1] = 0
        if len(self._classes) == 2:
            penalties *= 2  # of w / 2 and -w / 2: as much as that of w alone
        inverse = 1 / (0.5 * number * self._variances + penalties)  # Böhning's bound of the Hessian
        shape = (len(strengths), len(self._classes), width)
        inverse = inverse[:, None, :].expand(shape).reshape(len(strengths), -1).to(self._rows.dtype)
        found = minimise(
            lambda points, numbers: self._loss(points.view(-1, *shape[1:]), penalties[numbers]),
            self._start().expand(shape).reshape(inverse.shape),
            inverse,
            max_iterations=max_iterations,
            tolerance=TOLERANCE,
        )
        return self._turned_back(found.points.view(shape), strengths, found.num_iterations, found.converged)

    def _start(self) -> Tensor:
        """Return the best (K, R + 1) without features: biases that give the classes' shares."""
        start = self._rows.new_zeros(len(self._classes), self._rows.shape[1])
        start[:, -1] = self._labels.bincount().to(start.dtype).log()
        start[:, -1] -= start[:, -1].mean()
        return start

    def _loss(self, points: Tensor, penalties: Tensor) -> tuple[Tensor, Tensor]:
        """Return the losses (A,) and their gradients (A, P) of weights (A, K, R + 1)."""
        num_models, num_classes, width = points.shape
        # Classes before models: what is added up over classes then lies in long rows.
        matrix = points.permute(1, 0, 2).reshape(-1, width)
        gradient = torch.zeros_like(matrix)
        loss = torch.zeros(num_models, dtype=torch.float64, device=points.device)
        step = max(1, _LOGITS_AT_ONCE // len(matrix))
        for start in range(0, len(self._rows), step):
            rows, labels = self._rows[start : start + step], self._labels[start : start + step]
            logits = (rows @ matrix.t()).view(len(rows), num_classes, num_models)
            own = labels[:, None, None].expand(-1, 1, num_models)
            logits -= logits.amax(dim=1, keepdim=True)
            loss -= logits.gather(1, own).sum(dim=(0, 1), dtype=torch.float64)
            total = logits.exp_().sum(dim=1, keepdim=True)
            loss += total.log().sum(dim=(0, 1), dtype=torch.float64)
            logits /= total
            logits.scatter_add_(1, own, -torch.ones_like(total))
            gradient.addmm_(logits.view(len(rows), -1).t(), rows)
        weighted = points * penalties[:, None].to(points.dtype)
        loss += 0.5 * (points * weighted).sum(dim=(1, 2), dtype=torch.float64)
        found = gradient.view(num_classes, num_models, width).permute(1, 0, 2) + weighted
        return loss, found.reshape(num_models, -1)

    def _turned_back(
        self, points: Tensor, strengths: Sequence[float], num_iterations: Tensor, converged: Tensor
    ) -> Classifiers:
        """Return the classifiers of features as they came, with all classes."""
        weights = points[:, :, :-1].double() @ self._axes.t()
        biases = points[:, :, -1].double() - weights @ self._mean
        all_weights = weights.new_zeros(len(strengths), self._num_classes, weights.shape[2])
        all_biases = biases.new_full((len(strengths), self._num_classes), -torch.inf)
        all_weights[:, self._classes], all_biases[:, self._classes] = weights, biases
        return Classifiers(
            strengths=tuple(strengths),
            weights=all_weights.to(points.dtype),
            biases=all_biases.to(points.dtype),
            num_iterations=tuple(num_iterations.tolist()),
            converged=tuple(converged.tolist()),
        )


def _chunks(features: Floats, device: torch.device) -> Iterator[Tensor]:
    """Yield some rows at a time, in float64."""
    for start in range(0, len(features), _ROWS_AT_ONCE):
        yield torch.tensor(features[start : start + _ROWS_AT_ONCE], dtype=torch.float64, device=device)


def _moments(features: Floats, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the mean (D,) and the covariance (D, D) of rows, in float64."""
    width = features.shape[1]
    mean = torch.zeros(width, dtype=torch.float64, device=device)
    for own in _chunks(features, device):
        mean += own.sum(dim=0) / len(features)
    covariance = torch.zeros(width, width, dtype=torch.float64, device=device)
    for own in _chunks(features, device):
        covariance.addmm_((own - mean).t(), own - mean, alpha=1 / len(features))
    return mean, covariance


def _check(features: Floats, labels: Ints, num_classes: int) -> None:
    if features.ndim != 2 or len(features) != len(labels) or not len(labels):
        raise ValueError(
            f"{len(labels)} labels for features of shape {features.shape}: need one row each, at least one"
        )
    check_finite(features, "features")
    wrong = (labels < 0) | (labels >= num_classes)
    if wrong.any():
        raise ValueError(f"label {labels[wrong][0]} is none of the {num_classes} classes. Next: check --data")
    if len(np.unique(labels)) < 2:
        raise ValueError(f"all pictures are of class {labels[0]}: there is nothing to tell apart")
