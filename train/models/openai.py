"""OpenAI's state dicts: which model they are of, read from their shapes, and their fit into one of ours.

Names and shapes are those of our own models; heads are 64 wide, as in all that OpenAI published.
"""

import math
import re
from dataclasses import fields, replace

import torch
from torch import Tensor

from train.config import ModelConfig
from train.models.clip import ClipVit
from train.models.positions import IMAGE_POSITIONS, resize_positions
from train.models.resnet import ClipResNet

# Buffers of OpenAI's archives that are no weights.
_NO_WEIGHTS = ("input_resolution", "context_length", "vocab_size", "attn_mask")


def clean_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of a state dict in float32 (counts stay counts), without what are none."""
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
        if name.rpartition(".")[2] not in _NO_WEIGHTS
    }


def config_of(state: dict[str, Tensor]) -> ModelConfig:
    """Return the config of the model whose weights these are. Raises ValueError where they are no CLIP's."""
    try:
        return _resnet_of(state) if "visual.layer1.0.conv1.weight" in state else _vit_of(state)
    except (KeyError, IndexError) as error:
        raise ValueError(
            f"no weights of a CLIP: {error} is missing. Next: give a checkpoint with OpenAI's names"
        ) from error


def fitted(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Return the weights for a model of `config`, whose resolution alone may be another.

    Raises ValueError naming what differs else: weights that are missing, left over or of other shapes.
    """
    with torch.device("meta"):
        model = config.build(vocab_size=len(state["token_embedding.weight"]))
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {
        name: resize_positions(tensor, wanted[name][0])
        if name in IMAGE_POSITIONS and name in wanted
        else tensor
        for name, tensor in state.items()
    }
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    differing = [
        name for name in sorted(wanted.keys() | shapes.keys()) if wanted.get(name) != shapes.get(name)
    ]
    if differing:
        first = differing[0]
        raise ValueError(
            f"{len(differing)} weights do not fit the model, first {first}: {shapes.get(first, 'missing')}, "
            f"not {wanted.get(first, 'wanted')}. Next: change --model's sizes, or the checkpoint"
        )
    return found


def differing_fields(ours: ModelConfig, theirs: ModelConfig) -> list[str]:
    """Return the fields in which two configs differ, but for the resolution, which may be another."""
    if type(ours) is not type(theirs):
        return ["another kind of image tower"]
    theirs = replace(theirs, image_side_px=ours.image_side_px)
    return [part.name for part in fields(ours) if getattr(ours, part.name) != getattr(theirs, part.name)]


def _vit_of(state: dict[str, Tensor]) -> ClipVit:
    width, _, patch_side_px, _ = state["visual.conv1.weight"].shape
    context_length, text_width = state["positional_embedding"].shape
    return ClipVit(
        image_side_px=patch_side_px * _side(state["visual.positional_embedding"]),
        patch_side_px=patch_side_px,
        context_length=context_length,
        embed_dim=state["text_projection"].shape[1],
        vision_width=width,
        vision_num_layers=_count(state, r"visual\.transformer\.resblocks\.(\d+)\."),
        text_width=text_width,
        text_num_layers=_count(state, r"transformer\.resblocks\.(\d+)\."),
    )


def _resnet_of(state: dict[str, Tensor]) -> ClipResNet:
    one, two, three, four = (_count(state, rf"visual\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    context_length, text_width = state["positional_embedding"].shape
    return ClipResNet(
        image_side_px=32 * _side(state["visual.attnpool.positional_embedding"]),
        context_length=context_length,
        embed_dim=state["text_projection"].shape[1],
        vision_width=state["visual.layer1.0.conv1.weight"].shape[0],
        vision_num_blocks=(one, two, three, four),
        text_width=text_width,
        text_num_layers=_count(state, r"transformer\.resblocks\.(\d+)\."),
    )


def _side(positions: Tensor) -> int:
    return math.isqrt(len(positions) - 1)


def _count(state: dict[str, Tensor], pattern: str) -> int:
    return 1 + max((int(found[1]) for name in state if (found := re.match(pattern, name))), default=-1)
