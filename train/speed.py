"""What makes a model's steps quicker or smaller and leaves what they compute alone."""

import sys

import torch
from torch import nn

from train.config import SpeedConfig
from train.distributed import is_first
from train.models.transformer import ResidualAttentionBlock
from train.models.vit import set_patch_dropout


def set_speed(model: nn.Module, config: SpeedConfig, autocast: torch.autocast) -> None:
    """Set a model's blocks up as the config asks; one that cannot be compiled here stays as it is, with a
    line that says why.
    """
    blocks = [part for part in model.modules() if isinstance(part, ResidualAttentionBlock)]
    for block in blocks:
        block.recompute = config.recompute
    set_patch_dropout(model, config.patch_dropout)
    if config.compile and (reason := _why_not_compiled(blocks, autocast)) is None:
        for block in blocks:
            block.compile()
    elif config.compile and is_first():
        print(f"not compiled, slower by that: {reason}", file=sys.stderr, flush=True)


def _why_not_compiled(blocks: list[ResidualAttentionBlock], autocast: torch.autocast) -> str | None:
    """Return in a line why torch cannot compile a block here, None where it can."""
    if not blocks:
        return "no transformer blocks"
    width = blocks[0].ln_1.weight
    x = torch.zeros(2, 8, len(width), device=width.device)
    try:
        with autocast:
            torch.compile(blocks[0])(x, False)
    except (RuntimeError, OSError) as error:  # dynamo's, or no compiler on this machine
        return (str(error) or type(error).__name__).splitlines()[0]
    return None
