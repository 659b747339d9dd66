"""Zero-shot classification (CLIP, sec. 3.1): a class is the mean of its prompts' text features."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from manifests.places import Place
from train.evals.labelled import LabelledPictures, open_labelled
from train.trained import TrainedModel
from train.transforms import PICTURE_ERRORS, evaluation_pixels

PROMPTS = Path(__file__).with_name("prompts")
NUM_ERRORS_SHOWN = 24
THUMBNAIL_SIDE_PX = 96


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """Sort labelled pictures into their classes by captions alone: top-1, top-5, per class, and the
    confusions.

    Example: python -m train eval zero_shot --run runs/demo --data pictures/by_object --name objects
    """

    run: Path  # its newest checkpoint is evaluated
    data: Place  # a folder per class, or webdataset tars with classnames.txt
    name: str  # of the result: RUN/evals/zero_shot-<name>.json
    templates: str = (
        "simple"  # of train/evals/prompts, or a file: a JSON list, or one template per line, {} the class
    )
    classes: Path | None = (
        None  # other class names: one per line in the order of the folders, or JSON by folder
    )
    batch_size: int = 256

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file. Raises ValueError for data or templates that are none."""
        labelled = open_labelled(self.data, self.classes)
        templates = read_templates(self.templates)
        weights = class_features(trained, labelled.class_names, templates)  # (num_classes, embed_dim)
        labels, probabilities, bad_pictures = _classify(trained, labelled, weights, self.batch_size)
        predicted = probabilities.argmax(dim=-1)
        best5 = probabilities.topk(min(5, len(weights)), dim=-1).indices  # (num_pictures, 5)
        confusion = _confusion(labels, predicted, len(weights))
        return {
            "data": str(self.data),
            "num_pictures": len(labels),
            "top1": (predicted == labels).double().mean().item(),
            "top5": (best5 == labels[:, None]).any(dim=-1).double().mean().item(),
            "class_names": list(labelled.class_names),
            "per_class": _per_class(confusion, labelled.class_names),
            "confusion": confusion.tolist(),
            "templates": templates,
            "errors": _worst_errors(labelled, labels, probabilities, bad_pictures),
            "bad_pictures": bad_pictures,
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return top-1 and top-5 of how many pictures, as one line."""
        return (
            f"{self.name}: top-1 {result['top1']:.1%}, top-5 {result['top5']:.1%} "
            f"of {result['num_pictures']} pictures in {len(result['class_names'])} classes"
        )


def read_templates(name: str) -> list[str]:
    """Return the templates of a file, or of train/evals/prompts by name. Raises ValueError if there are
    none.
    """
    named = PROMPTS / f"{name}.json"
    path = named if named.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.json")))
        raise ValueError(f"unknown templates {name!r}, known: {known}. Next: pass one of them, or a file")
    text = path.read_text(encoding="utf-8")
    templates = (
        json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    )
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(
            f"{path}: templates without one {{}} for the class: {wrong or 'all'}. Next: correct them"
        )
    return list(templates)


def class_features(trained: TrainedModel, class_names: Sequence[str], templates: Sequence[str]) -> Tensor:
    """Return (num_classes, embed_dim) of unit length: each the mean over its prompts' unit features."""
    rows = []
    for name in class_names:
        features = trained.text_features([template.replace("{}", name) for template in templates])
        rows.append(F.normalize(features.mean(dim=0), dim=-1))
    return torch.stack(rows)


def _classify(
    trained: TrainedModel, labelled: LabelledPictures, weights: Tensor, batch_size: int
) -> tuple[Tensor, Tensor, list[str]]:
    """Return labels (N,), probabilities (N, num_classes), and the pictures that could not be read."""
    labels: list[int] = []
    probabilities: list[Tensor] = []
    bad_pictures: list[str] = []
    decoded = _decoded(labelled, trained.image_side_px, bad_pictures)
    while chunk := list(islice(decoded, batch_size)):
        features = trained.image_features([pixels for pixels, _ in chunk])
        probabilities.append((trained.logit_scale() * features @ weights.t()).softmax(dim=-1))
        labels += [label for _, label in chunk]
    if not labels:
        raise ValueError(
            f"{labelled.root}: none of its pictures could be read. Next: check {bad_pictures[:1]}"
        )
    return torch.tensor(labels), torch.cat(probabilities), bad_pictures


def _decoded(
    labelled: LabelledPictures, side_px: int, bad_pictures: list[str]
) -> Iterator[tuple[NDArray[np.uint8], int]]:
    for place, data, label in labelled:
        try:
            yield evaluation_pixels(data, side_px), label
        except PICTURE_ERRORS as error:
            bad_pictures.append(f"{place}: {error}")


def _confusion(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Return how often each class (row) was taken for each (column)."""
    return torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, -1)


def _per_class(confusion: Tensor, class_names: Sequence[str]) -> dict[str, float]:
    """Return the accuracy of each class that has pictures."""
    rows = zip(class_names, confusion.diagonal().tolist(), confusion.sum(dim=1).tolist(), strict=True)
    return {name: num_right / num_pictures for name, num_right, num_pictures in rows if num_pictures}


def _worst_errors(
    labelled: LabelledPictures, labels: Tensor, probabilities: Tensor, bad_pictures: list[str]
) -> list[dict[str, Any]]:
    """Return the errors that the model was surest of, each with a small picture to look at."""
    confidences, predicted = probabilities.max(dim=-1)
    wrong = (predicted != labels).nonzero().flatten().tolist()
    worst = sorted(wrong, key=lambda number: -confidences[number].item())[:NUM_ERRORS_SHOWN]
    bad_places = {bad.partition(": ")[0] for bad in bad_pictures}
    readable = (data for place, data, _ in labelled if place not in bad_places)
    pictures = {number: data for number, data in enumerate(readable) if number in worst}
    return [
        {
            "truth": labelled.class_names[labels[number]],
            "predicted": labelled.class_names[predicted[number]],
            "confidence": confidences[number].item(),
            "thumbnail": _thumbnail(pictures[number]),
        }
        for number in worst
    ]


def _thumbnail(data: bytes) -> str:
    """Return a JPEG of at most THUMBNAIL_SIDE_PX in base64."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode()
