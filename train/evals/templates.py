"""Which of many templates to keep for a dataset, chosen on its training split."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from train.evals.captions import template_features
from train.evals.classification import Classification
from train.evals.intervals import wilson
from train.evals.metrics import Metric
from train.evals.template_choice import choose_templates
from train.trained import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Templates(Classification):
    """Choose templates one by one for the highest top-1 of their ensemble, as CLIP's 7 of 80 were.

    Example: python -m train eval templates --run runs/demo --data pictures/train --name objects
    --templates clip_7 --num-templates 3

    The result is a file for --templates of other evaluations, whose pictures must be others.
    """

    split: str = "train"
    """Of the dataset: not the one that is tested on."""
    num_templates: int = 7
    """To choose at most."""

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the chosen templates in their order with top-1 after each, and top-1 of all together."""
        opened = self.opened(self.folds()[0])
        if opened.metric is Metric.MAP_11 or self.only_classes is not None:
            raise ValueError(
                "templates are chosen by top-1 over all classes. Next: another dataset, no subset"
            )
        features = self.features(trained, opened)
        images, labels = torch.tensor(features.image), torch.tensor(features.labels)
        texts = template_features(trained, opened.synonyms, opened.templates)
        num = min(self.num_templates, len(opened.templates))
        chosen, accuracies = choose_templates(images, labels, texts, num)
        _, together = choose_templates(images, labels, texts.mean(dim=0, keepdim=True), 1)
        return {
            "data": str(self.data),
            "dataset": self.dataset,
            "num_pictures": len(labels),
            "templates": [opened.templates[number] for number in chosen],
            "top1_after_each": accuracies,
            "top1": accuracies[-1],
            "top1_interval": wilson(int(np.round(accuracies[-1] * len(labels))), len(labels)),
            "top1_of_all": together[0],
            "num_candidates": len(opened.templates),
            "bad_pictures": list(features.bad_pictures),
        }

    def summary(self, result: dict[str, Any]) -> str:
        """Return how good the chosen ones are beside all, as one line."""
        return (
            f"{self.name}: top-1 {result['top1']:.1%} with {len(result['templates'])} of "
            f"{result['num_candidates']} templates, {result['top1_of_all']:.1%} with all"
        )
