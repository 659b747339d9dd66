"""Which templates to keep: forward selection, by which CLIP's authors came to 7 of their 80."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from train.evals.metrics import in_top


def choose_templates(
    images: Tensor, labels: Tensor, texts: Tensor, num_templates: int
) -> tuple[list[int], list[float]]:
    """Return the numbers of the templates in the order they were chosen, and top-1 after each.

    Args:
        images: (N, D) features of pictures, of unit length.
        labels: (N,) numbers of their classes.
        texts: (T, C, D) features of each template's classes, of unit length or means of such.
        num_templates: how many to choose at most, 1 to T.

    Each step takes the template that makes the ensemble's top-1 highest, the first of equal ones, whether or
    not it helps: the paper's list has 7. Memory grows with N x C.
    """
    if not 1 <= num_templates <= len(texts):
        raise ValueError(
            f"{num_templates} of {len(texts)} templates cannot be chosen. Next: 1 to {len(texts)}"
        )
    chosen: list[int] = []
    accuracies: list[float] = []
    total = torch.zeros_like(texts[0])
    for _ in range(num_templates):
        left = [number for number in range(len(texts)) if number not in chosen]
        scored = [(_top1(images, labels, total + texts[number]), -number) for number in left]
        accuracy, minus = max(scored)
        chosen.append(-minus)
        accuracies.append(accuracy)
        total = total + texts[-minus]
    return chosen, accuracies


def _top1(images: Tensor, labels: Tensor, total: Tensor) -> float:
    scores = images @ F.normalize(total, dim=-1).t()
    return float(in_top(np.asarray(labels), np.asarray(scores), 1).mean())
