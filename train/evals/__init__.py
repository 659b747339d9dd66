"""Evaluations by name. A new one is a file here with a frozen dataclass, one line below, and a test.

The dataclass's fields become the flags of `python -m train eval <name>`.
"""

from pathlib import Path
from typing import Any, Protocol

from train.evals.bias import Bias
from train.evals.calibration import Calibration
from train.evals.few_shot import FewShot
from train.evals.overlap import Overlap
from train.evals.probe import Probe
from train.evals.retrieval import Retrieval
from train.evals.robustness import Robustness
from train.evals.templates import Templates
from train.evals.zero_shot import ZeroShot
from train.trained import TrainedModel


class Evaluation(Protocol):
    """What `python -m train eval` asks of an evaluation."""

    @property
    def run(self) -> Path:
        """The run whose newest checkpoint is evaluated."""

    @property
    def name(self) -> str:
        """Of the result: RUN/evals/<eval>-<name>.json."""

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the measurements as plain JSON values; the command adds the eval, name, step and summary.

        A dataset's pictures are read with `manifests.store.Dataset.read_picture`, a folder's or labelled
        tars' with `train.evals.labelled`. Raises ValueError for data that cannot be evaluated.
        """

    def summary(self, result: dict[str, Any]) -> str:
        """Return the result as one line."""


EVALS: dict[str, type[Evaluation]] = {
    "zero_shot": ZeroShot,
    "probe": Probe,
    "few_shot": FewShot,
    "retrieval": Retrieval,
    "overlap": Overlap,
    "robustness": Robustness,
    "calibration": Calibration,
    "bias": Bias,
    "templates": Templates,
}
