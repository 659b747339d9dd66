"""Whole training runs by name: each a function that returns a TrainConfig; any field of it can be changed
by a flag. Its docstring says what it takes and what it gives, and who measured that.
"""

from collections.abc import Callable

from train.config import TrainConfig
from train.models import MODELS
from train.recipes import paper, proxies, small

RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "demo": small.demo,
    "cifar10": small.cifar10,
    "cifar10_resnet": small.cifar10_resnet,
    "rn50": paper.rn50,
    "rn101": paper.rn101,
    "rn50x4": paper.rn50x4,
    "rn50x16": paper.rn50x16,
    "rn50x64": paper.rn50x64,
    "vit_b_32": paper.vit_b_32,
    "vit_b_16": paper.vit_b_16,
    "vit_l_14": paper.vit_l_14,
    "vit_l_14_336": paper.vit_l_14_336,
    "cc3m": proxies.cc3m,
    "cc12m": proxies.cc12m,
    "yfcc15m": proxies.yfcc15m,
    "datacomp_small": proxies.datacomp_small,
    "datacomp_medium": proxies.datacomp_medium,
    **{f"tiny_{model}": small.tiny(model) for model in MODELS},
}
