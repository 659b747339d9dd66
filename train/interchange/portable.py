"""What every format is written from and read into, and the small files that several of them share."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from manifests.storage import written_whole
from manifests.store import write_bytes
from train.config import ModelConfig
from train.tokenizer import Tokenizer
from train.transforms import MEAN, STD


@dataclass(frozen=True, kw_only=True)
class PortableModel:
    """A trained CLIP: `state` has OpenAI's names, float32 values and the shapes of `config`."""

    config: ModelConfig
    state: dict[str, Tensor]
    tokenizer: Tokenizer


def write_safetensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors, whole or not at all."""
    with written_whole(path) as temporary:
        tensors = {name: tensor.detach().contiguous() for name, tensor in state.items()}
        safetensors.torch.save_file(tensors, temporary, metadata={"format": "pt"})


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write one JSON object, as people read it."""
    write_bytes(path, (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode())


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises ValueError where it holds none."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON: {error}. Next: get it again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no JSON object. Next: get it again")
    return content


@contextmanager
def understood(path: Path) -> Iterator[None]:
    """Raise ValueError for a config that lacks a field or holds something else in it than a number."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"{path} is no config of a CLIP: {error!r}. Next: get it again") from error


def require(place: Path, field: str, found: object, wanted: object) -> None:
    """Raise ValueError where a foreign config asks for what our models do not do."""
    if found != wanted:
        raise ValueError(
            f"{place}: {field} is {found}, our models have {wanted}. Next: train it anew, or use its own code"
        )


def require_our_colours(place: Path, mean: Any, std: Any) -> None:
    """Raise ValueError where pictures are normalised otherwise than CLIP's."""
    require(place, "the mean of the colours", tuple(mean), MEAN)
    require(place, "the deviation of the colours", tuple(std), STD)
