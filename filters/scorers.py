"""Descriptions of models that score pictures: how a model wants to be fed, which of its numbers counts.

A model in ONNX comes with a description, a JSON file beside it:

    {"name": "nsfw", "path": "nsfw.onnx", "side_px": 224, "mean": [0.485, 0.456, 0.406],
     "std": [0.229, 0.224, 0.225], "activation": "softmax", "index": 1}

Only `name` and `path` must be there. Limits are the build's and stand elsewhere.
"""

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import msgspec


@dataclass(frozen=True, kw_only=True)
class OnnxScorer:
    """One score of a picture: a model, how it is fed, and which of its numbers is the score."""

    name: str
    """Of the score."""
    path: str
    """The model, an .onnx file; relative to its description."""
    sha256: str = ""
    """Of the model: another one under the same path is refused."""
    side_px: int = 224
    """The model takes squares of this side."""
    resize: Literal["center_crop", "stretch", "pad"] = "center_crop"
    """center_crop: the shorter side becomes side_px, the rest is cut off. stretch: both become side_px.
    pad: the longer one does, and black fills the square."""
    channels: Literal["rgb", "bgr"] = "rgb"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the channels in their order; taken off values from 0 to 1."""
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Values are then divided by it: 1/255 of each gives values from 0 to 255."""
    activation: Literal["none", "sigmoid", "softmax"] = "none"
    """What the model's numbers go through."""
    index: int = 0
    """Which of the numbers of the model's first output is the score."""

    def __post_init__(self) -> None:
        for holds, rule in (
            (self.side_px >= 1, f"side_px must be >= 1, not {self.side_px}"),
            (min(self.std) > 0, f"std must be > 0, not {self.std}"),
            (self.index >= 0, f"index must be >= 0, not {self.index}"),
        ):
            if not holds:
                raise ValueError(f"score {self.name}: {rule}. Next: correct the description of {self.path}")


def read_scorer(description: Path) -> OnnxScorer:
    """Return the scorer of a description, with its model's hash. Raises ValueError for what is none."""
    try:
        values = json.loads(description.read_bytes())
        unknown = sorted(set(values) - {field.name for field in fields(OnnxScorer)})
        if unknown:
            raise ValueError(f"unknown fields {', '.join(unknown)}")
        path = description.parent / values["path"]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        if values.setdefault("sha256", sha256) != sha256:
            raise ValueError(f"{path} has another sha256 than the description says")
        return msgspec.convert(values | {"path": str(path)}, OnnxScorer)
    except (OSError, ValueError, TypeError, KeyError) as error:
        example = '{"name": "nsfw", "path": "nsfw.onnx", "side_px": 224}'
        raise ValueError(
            f"{description} is no description of a model ({error}). Next: write {example}"
        ) from error
