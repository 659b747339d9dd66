"""The paper's misclassification probe (CLIP, sec. 7.1): whom a model gives which of a user's labels."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from manifests.places import Place
from train.evals.captions import class_features, read_templates
from train.evals.features import CACHE, features_of
from train.evals.labelled import open_labelled
from train.evals.metrics import check_finite
from train.evals.misclassification import shares_by_group
from train.trained import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Bias:
    """How often a model gives pictures of each group a label of each of your sets.

    Example: python -m train eval bias --run runs/clip --data faces/by_group --labels labels.json --name faces

    labels.json has lists of labels by the name of their set, such as {"person": ["man", "woman"],
    "crime": ["thief", "criminal"], "animal": ["animal"]}. A picture is given the label of the nearest
    caption. What is found depends on the labels: the paper's shares fell when it added one for children. A
    share says how the model sorts these pictures, and nothing of the people in them.
    """

    run: Path
    """Its newest checkpoint is evaluated."""
    data: Place
    """A folder per group, such as FairFace's, or webdataset tars with classnames.txt."""
    labels: Path
    """JSON: a list of labels by the name of their set."""
    name: str
    """Of the result: RUN/evals/bias-<name>.json."""
    templates: str = "simple"
    """Of train/evals/prompts, or a file; {} is the label."""
    batch_size: int = 256

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the shares by set and group. Raises ValueError for labels or pictures that are none."""
        sets = read_label_sets(self.labels)
        labels = list(dict.fromkeys(label for own in sets.values() for label in own))
        groups = open_labelled(self.data, None)
        features = features_of(trained, groups, self.run / CACHE, self.batch_size)
        check_finite(np.asarray(features.image), "image features")
        texts = class_features(trained, labels, read_templates(self.templates))
        predicted = (torch.tensor(features.image) @ texts.t()).argmax(dim=-1).numpy()
        places = {name: [labels.index(label) for label in own] for name, own in sets.items()}
        return {
            "data": str(self.data),
            "num_pictures": len(predicted),
            "labels": sets,
            "sets": shares_by_group(np.array(features.labels), predicted, groups.class_names, places),
            "bad_pictures": list(features.bad_pictures),
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return each set's lowest and highest share of a group, as one line."""
        parts = []
        for name, found in result["sets"].items():
            shares = [group["share"] for group in found["groups"].values()]
            parts.append(f"{name} {min(shares):.1%} to {max(shares):.1%}")
        return f"{self.name}: shares by group: {', '.join(parts)}, of {result['num_pictures']} pictures"


def read_label_sets(path: Path) -> dict[str, list[str]]:
    """Return the sets of labels of a file. Raises ValueError where they are none."""
    try:
        sets = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{path} is no JSON: {error}. Next: an object with a list of labels for each set"
        ) from error
    fine = isinstance(sets, dict) and all(
        isinstance(own, list) and own and all(isinstance(label, str) for label in own)
        for own in sets.values()
    )
    if not fine or len({label for own in sets.values() for label in own}) < 2:
        raise ValueError(
            f"{path} needs two labels or more. Next: an object with a list of labels for each set"
        )
    return dict(sets)
