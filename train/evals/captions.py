"""Classes as captions: templates, class names with synonyms, and their features (CLIP, sec. 3.1.4)."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from train.trained import TrainedModel

PROMPTS = Path(__file__).with_name("prompts")
BETWEEN_SYNONYMS = "|"


def read_templates(name: str) -> list[str]:
    """Return the templates of a file, or of train/evals/prompts by name. Raises ValueError if there are
    none.

    A file is a JSON list, a result of `eval templates`, or text with one template a line.
    """
    named = PROMPTS / f"{name}.json"
    path = named if named.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in PROMPTS.glob("*.json")))
        raise ValueError(f"unknown templates {name!r}, known: {known}. Next: pass one of them, or a file")
    text = path.read_text(encoding="utf-8")
    found = (
        json.loads(text) if path.suffix == ".json" else [line for line in text.splitlines() if line.strip()]
    )
    templates = found["templates"] if isinstance(found, dict) else found
    wrong = [template for template in templates if template.count("{}") != 1]
    if wrong or not templates:
        raise ValueError(
            f"{path}: templates without one {{}} for the class: {wrong or 'all'}. Next: correct them"
        )
    return list(templates)


def with_synonyms(names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Return the names of each class.

    >>> with_synonyms(["happy|smiling", "sad"])
    (('happy', 'smiling'), ('sad',))
    """
    return tuple(tuple(part.strip() for part in name.split(BETWEEN_SYNONYMS)) for name in names)


def class_features(
    trained: TrainedModel, classes: Sequence[str | Sequence[str]], templates: Sequence[str]
) -> Tensor:
    """Return (num_classes, embed_dim) of unit length: each the mean over its prompts' unit features, which
    are all templates with all names of the class.
    """
    return F.normalize(template_features(trained, classes, templates).mean(dim=0), dim=-1)


def template_features(
    trained: TrainedModel, classes: Sequence[str | Sequence[str]], templates: Sequence[str]
) -> Tensor:
    """Return (num_templates, num_classes, embed_dim): the mean over a class's names of unit features."""
    rows = []
    for names in classes:
        known = [names] if isinstance(names, str) else names
        prompts = [template.replace("{}", name) for template in templates for name in known]
        features = trained.text_features(prompts)
        rows.append(features.view(len(templates), len(known), -1).mean(dim=1))
    return torch.stack(rows, dim=1)
