"""Architectures by name. A new one is a file here with its ModelConfig, one line below, and a recipe."""

from typing import Any

from train.config import ModelConfig
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet

MODELS: dict[str, type[ModelConfig]] = {
    "clip_vit": ClipVit,
    "clip_resnet": ClipResNet,
}


def model_to_json(config: ModelConfig) -> dict[str, Any]:
    """Return the config as plain values with its name in MODELS, so that `model_from_json` can rebuild it."""
    (name,) = (name for name, kind in MODELS.items() if kind is type(config))
    return {"name": name, **vars(config)}


def model_from_json(fields: dict[str, Any]) -> ModelConfig:
    """Return the ModelConfig that `model_to_json` wrote. Raises ValueError for a name that is not in
    MODELS.
    """
    name = fields["name"]
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}, known: {', '.join(MODELS)}. Next: update openwit")
    # JSON has no tuples.
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
    }
    del values["name"]
    return MODELS[name](**values)
