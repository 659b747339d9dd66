"""Is a zero-shot model as sure as it is right?"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from train.evals.classification import Classification
from train.evals.metrics import Metric
from train.evals.reliability import NUM_BINS, best_temperature, calibration_error, reliability
from train.trained import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Calibration(Classification):
    """Reliability curve and expected calibration error of zero-shot classification.

    Example: python -m train eval calibration --run runs/demo/run --data runs/demo/heldout/objects --name o
    """

    num_bins: int = NUM_BINS
    """Of equal width, of the confidence."""

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the curve, its error, and the temperature that fits these pictures best.

        The last is what the error could be at best, not a result: it has seen the labels.
        """
        found = self.classified(trained, self.folds()[0])
        if found.opened.metric is Metric.MAP_11:
            raise ValueError(f"{self.dataset} has several classes a picture: a confidence is of one class")
        temperature = best_temperature(found.logits, found.labels)
        bins = self._bins(found.probabilities(), found.labels)
        tempered = self._bins(softmax(found.logits.astype(np.float64) / temperature, axis=1), found.labels)
        return {
            "data": str(self.data),
            "dataset": self.dataset,
            "num_pictures": len(found.labels),
            "top1": float((found.logits.argmax(axis=1) == found.labels).mean()),
            "mean_confidence": float(found.probabilities().max(axis=1).mean()),
            "calibration_error": calibration_error(bins),
            "best_temperature": temperature,
            "calibration_error_at_best_temperature": calibration_error(tempered),
            "bins": bins,
            "bad_pictures": found.bad_pictures,
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return the error beside confidence and accuracy, as one line."""
        return (
            f"{self.name}: calibration error {result['calibration_error']:.1%}; "
            f"{result['mean_confidence']:.1%} sure, {result['top1']:.1%} right, "
            f"of {result['num_pictures']} pictures"
        )

    def _bins(self, probabilities: Any, labels: Any) -> list[dict[str, Any]]:
        return reliability(probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, self.num_bins)
