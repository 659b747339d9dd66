"""Evaluations by name. A new one is a file here with a frozen dataclass, one line below, and a test.

The dataclass's fields become the flags of `python -m train eval <name>`.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

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


class Evals(Mapping[str, type[Evaluation]]):
    """Evaluations by name, each imported when it is asked for: a broken one stops no other, and no `fit`."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> type[Evaluation]:
        found: type[Evaluation] = getattr(import_module(f"train.evals.{name}"), self._classes[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


# The module, and the dataclass in it.
EVALS = Evals(
    {
        "zero_shot": "ZeroShot",
        "probe": "Probe",
        "few_shot": "FewShot",
        "retrieval": "Retrieval",
        "overlap": "Overlap",
        "robustness": "Robustness",
        "calibration": "Calibration",
        "bias": "Bias",
        "templates": "Templates",
    }
)
