"""Copies of a model whose gradients are averaged: nothing that torch would warn of."""

import warnings

import torch
import torch.distributed as dist

from tests.processes import run_together
from train.models.resnet import ModifiedResNet
from train.parallel import copies


def learn(dtype_name: str) -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = ModifiedResNet(image_side_px=64, width=32, num_blocks=(1, 1, 1, 1), num_heads=4, embed_dim=32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    spread = copies(model)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    for _ in range(2):
        model.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype_name == "bfloat16"):
            features = spread(torch.randn(4, 3, 64, 64))
        features.float().sum().backward()
    dist.destroy_process_group()


def learn_without_warnings() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype_name in ("float32", "bfloat16"):
            learn(dtype_name)


def test_a_resnet_learns_in_copies_without_a_warning() -> None:
    run_together(2, learn_without_warnings)
