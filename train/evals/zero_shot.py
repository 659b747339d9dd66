"""Zero-shot classification (CLIP, sec. 3.1): a class is the mean of its prompts' text features."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from manifests.places import Place
from train.evals.feature_files import Features
from train.evals.features import CACHE, features_of
from train.evals.labelled import LabelledPictures, open_labelled
from train.trained import TrainedModel

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
        features = features_of(trained, labelled, self.run / CACHE, self.batch_size)
        labels = torch.tensor(features.labels)
        probabilities = _probabilities(torch.tensor(features.image), weights, trained.logit_scale())
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
            "errors": _worst_errors(labelled, labels, probabilities, features),
            "bad_pictures": list(features.bad_pictures),
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


def _probabilities(image: Tensor, weights: Tensor, logit_scale: float) -> Tensor:
    """Return (N, num_classes) of unit features (N, embed_dim)."""
    return (logit_scale * image @ weights.t()).softmax(dim=-1)


def _confusion(labels: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Return how often each class (row) was taken for each (column)."""
    return torch.bincount(labels * num_classes + predicted, minlength=num_classes**2).view(num_classes, -1)


def _per_class(confusion: Tensor, class_names: Sequence[str]) -> dict[str, float]:
    """Return the accuracy of each class that has pictures."""
    rows = zip(class_names, confusion.diagonal().tolist(), confusion.sum(dim=1).tolist(), strict=True)
    return {name: num_right / num_pictures for name, num_right, num_pictures in rows if num_pictures}


def _worst_errors(
    labelled: LabelledPictures, labels: Tensor, probabilities: Tensor, features: Features
) -> list[dict[str, Any]]:
    """Return the errors that the model was surest of, each with a small picture to look at."""
    confidences, predicted = probabilities.max(dim=-1)
    wrong = (predicted != labels).nonzero().flatten().tolist()
    worst = sorted(wrong, key=lambda number: -confidences[number].item())[:NUM_ERRORS_SHOWN]
    keys = {features.keys[number].as_py(): number for number in worst}
    pictures = {keys[key]: data for key, data, _ in labelled if key in keys}
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
