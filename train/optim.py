"""AdamW as the paper sets it, and the learning rate of every step."""

import math

import torch
from torch import nn

from train.config import OptimConfig
from train.models.clip import Clip
from train.small_adam import SmallAdamW


def learning_rate(step: int, num_steps: int, config: OptimConfig) -> float:
    """Return the rate of step 0, 1, ... num_steps - 1: linear up to the peak, then half a cosine towards 0.

    The first step has peak / num_warmup_steps, not 0, so that no step is without effect; warm-up is cut to
    the run.
    """
    num_warmup_steps = min(config.num_warmup_steps, num_steps)
    if step < num_warmup_steps:
        return config.peak_lr * (step + 1) / num_warmup_steps
    progress = (step - num_warmup_steps) / max(1, num_steps - num_warmup_steps)
    return config.peak_lr * (1 + math.cos(math.pi * progress)) / 2


def build_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.Optimizer:
    """Return AdamW with decay on weights that are not gains or biases (CLIP, sec. 2.5).

    Those are the parameters of fewer than two dimensions, logit_scale and class_embedding among them.
    """
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (config.beta1, config.beta2)
    if config.statistics == "bfloat16":
        return SmallAdamW(groups, lr=config.peak_lr, betas=betas, eps=config.eps)
    return torch.optim.AdamW(groups, lr=config.peak_lr, betas=betas, eps=config.eps, fused=True)


def halve_text_weights(model: Clip) -> None:
    """Bring the text tower's matrices to bfloat16, in place; what they are added to stays float32."""
    for name, parameter in model.named_parameters():
        added = name == "positional_embedding" or parameter.ndim < 2
        if not name.startswith("visual.") and not added:
            parameter.data = parameter.data.bfloat16()
