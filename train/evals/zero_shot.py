"""Zero-shot classification (CLIP, sec. 3.1): a class is the mean of its prompts' text features."""

import base64
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from train.evals.classification import Classification, Classified
from train.evals.compute import compute_of
from train.evals.datasets import DATASETS
from train.evals.intervals import fold_mean, wilson
from train.evals.metrics import Metric, in_top, measure, unpack_labels
from train.evals.published import published_rows
from train.trained import TrainedModel

NUM_ERRORS_SHOWN = 24
THUMBNAIL_SIDE_PX = 96


@dataclass(frozen=True, kw_only=True)
class ZeroShot(Classification):
    """Sort labelled pictures into their classes by captions alone: the dataset's metric, top-1, top-5, per
    class, and the confusions.

    Example: python -m train eval zero_shot --run runs/demo/run --data runs/demo/heldout/objects --name o

    A dataset of the paper, from its authors' files:
    python -m train eval zero_shot --run runs/demo --dataset cifar10 --data data/cifar10 --name cifar10
    """

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file. Raises ValueError for data or templates that are none."""
        folds = [self.classified(trained, fold) for fold in self.folds()]
        measured = [measure(found.opened.metric, found.labels, found.logits) for found in folds]
        value, interval = measured[0] if len(folds) == 1 else fold_mean([value for value, _ in measured])
        first = folds[0]
        result = {
            "data": str(self.data),
            "num_pictures": sum(len(found.labels) for found in folds),
            "metric": str(first.opened.metric),
            "value": value,
            "interval": list(interval),
            "class_names": first.opened.class_names,
            "templates": first.opened.templates,
            "bad_pictures": [bad for found in folds for bad in found.bad_pictures],
        }
        if len(folds) > 1:
            result["values_of_folds"] = [value for value, _ in measured]
        if self.dataset is not None:
            rows = published_rows(self.dataset, "zero_shot")
            result |= {"dataset": self.dataset, "split": self.split, "note": DATASETS[self.dataset].note}
            result["published"] = [asdict(row) for row in rows]
            result["compute"] = compute_of(self.run, trained.step)
        one_class = first.opened.metric is not Metric.MAP_11
        return result | (_of_one_class(first, folds) if one_class else _of_several(first))

    def summary(self, result: dict[str, Any]) -> str:
        """Return the metric with its interval, of how many pictures, as one line."""
        low, high = (f"{100 * bound:.1f}" for bound in result["interval"])
        sure = f"({low} to {high})"
        found = f"{result['metric'].replace('_', ' ')} {result['value']:.1%} {sure}"
        if result["metric"] == Metric.ACCURACY:
            found = f"top-1 {result['value']:.1%} {sure}, top-5 {result['top5']:.1%}"
        return (
            f"{self.name}: {found} of {result['num_pictures']} pictures "
            f"in {len(result['class_names'])} classes"
        )


def _of_one_class(first: Classified, folds: Sequence[Classified]) -> dict[str, Any]:
    """Return what follows where a picture has one class: of all folds together, errors of the first."""
    labels = np.concatenate([found.labels for found in folds])
    predicted = np.concatenate([found.logits.argmax(axis=1) for found in folds])
    best5 = np.concatenate([in_top(found.labels, found.logits, 5) for found in folds])
    names = first.opened.class_names
    confusion = np.bincount(labels * len(names) + predicted, minlength=len(names) ** 2)
    confusion = confusion.reshape(len(names), -1)  # how often each class (row) was taken for each (column)
    right = predicted == labels
    return {
        "top1": float(right.mean()),
        "top1_interval": list(wilson(int(right.sum()), len(right))),
        "top5": float(best5.mean()),
        "top5_interval": list(wilson(int(best5.sum()), len(best5))),
        "per_class": _shares(names, confusion.diagonal(), confusion.sum(axis=1)),
        "confusion": confusion.tolist(),
        "errors": _worst_errors(first),
    }


def _of_several(found: Classified) -> dict[str, Any]:
    """Return how many pictures show each class, where a picture may show several."""
    shown, _ = unpack_labels(found.labels, len(found.opened.synonyms))
    counts = shown.sum(axis=0).tolist()
    return {"num_pictures_per_class": dict(zip(found.opened.class_names, counts, strict=True))}


def _shares(
    names: Sequence[str], num_right: NDArray[np.int64], num_pictures: NDArray[np.int64]
) -> dict[str, float]:
    """Return the accuracy of each class that has pictures."""
    rows = zip(names, num_right.tolist(), num_pictures.tolist(), strict=True)
    return {name: right / num for name, right, num in rows if num}


def _worst_errors(found: Classified) -> list[dict[str, Any]]:
    """Return the errors that the model was surest of, each with a small picture to look at."""
    probabilities = found.probabilities()
    confidences, predicted = probabilities.max(axis=1), probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != found.labels).tolist()
    worst = sorted(wrong, key=lambda number: -confidences[number])[:NUM_ERRORS_SHOWN]
    pictures = _pictures(found, {found.keys[number] for number in worst})
    names = found.opened.class_names
    return [
        {
            "truth": names[found.labels[number]],
            "predicted": names[predicted[number]],
            "confidence": float(confidences[number]),
            "thumbnail": _thumbnail(pictures[found.keys[number]]),
        }
        for number in worst
    ]


def _pictures(found: Classified, wanted: set[str]) -> dict[str, bytes]:
    """Return the pictures of some keys; no picture after the last of them is read."""
    pictures: dict[str, bytes] = {}
    if wanted:
        for key, data, _ in found.opened.pictures:
            if key in wanted:
                pictures[key] = data
                if len(pictures) == len(wanted):
                    break
    return pictures


def _thumbnail(data: bytes) -> str:
    """Return a JPEG of at most THUMBNAIL_SIDE_PX in base64."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
