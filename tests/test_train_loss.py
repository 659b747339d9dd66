"""The losses against the formulas written down: in one process and in several, in tiles and whole."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.processes import run_together
from train.distributed import num_processes, processes, rank, sum_over_processes
from train.loss import clip_loss, siglip_loss

NUM_PAIRS, WIDTH = 22, 8


def slow_clip_loss(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).t()
    labels = torch.arange(len(logits))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.t(), labels)) / 2


def slow_siglip_loss(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    logits = scale * F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).t() + bias
    signs = 2 * torch.eye(len(logits)) - 1
    return -F.logsigmoid(signs * logits).sum() / len(logits)


def inputs(kind: str) -> list[Tensor]:
    """Features, the scale, and for SigLIP a bias."""
    torch.manual_seed(1)
    values = [torch.randn(NUM_PAIRS, WIDTH), 3 * torch.randn(NUM_PAIRS, WIDTH), torch.tensor(14.0)]
    return values if kind == "clip" else [*values, torch.tensor(-2.0)]


SLOW: dict[str, Any] = {"clip": slow_clip_loss, "siglip": slow_siglip_loss}
OURS: dict[str, Any] = {"clip": clip_loss, "siglip": siglip_loss}


def value_and_gradients(loss: Any, values: list[Tensor], **options: Any) -> list[Tensor]:
    leaves = [value.clone().requires_grad_() for value in values]
    result = loss(*leaves, **options)
    (3 * result).backward()  # a factor, so that one that is forgotten is seen
    return [result.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("tile_rows", [1, 5, 22, 256])
def test_value_and_gradients_are_those_of_the_whole_matrix(kind: str, tile_rows: int) -> None:
    expected = value_and_gradients(SLOW[kind], inputs(kind))
    found = value_and_gradients(OURS[kind], inputs(kind), tile_rows=tile_rows)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_differences() -> None:
    values = [value[:4].double() if value.dim() else value.double() for value in inputs("clip")]
    with torch.autograd.set_detect_anomaly(True):
        expected = value_and_gradients(slow_clip_loss, values)
    found = value_and_gradients(clip_loss, values, tile_rows=3)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-4, atol=1e-6)


def test_half_precision_features_are_taken_in_float32() -> None:
    image, text, scale = inputs("clip")
    with torch.autocast("cpu", torch.bfloat16):
        loss = clip_loss(image.bfloat16(), text.bfloat16(), scale)
    assert loss.dtype == torch.float32
    expected = slow_clip_loss(image.bfloat16().float(), text.bfloat16().float(), scale)
    torch.testing.assert_close(loss, expected)


def test_extreme_temperatures_overflow_nothing() -> None:
    image, text, _ = inputs("clip")
    found = value_and_gradients(clip_loss, [image, text, torch.tensor(1e4)], tile_rows=4)
    assert all(torch.isfinite(value).all() for value in found)


SHARES = {2: (0, 11, 22), 4: (0, 3, 10, 17, 22)}  # where each process's rows begin; not all bring as many


def take_part() -> None:
    """One process of several: check its share against the whole matrix in one process."""
    with processes(torch.device("cpu")):
        own = slice(*SHARES[num_processes()][rank() : rank() + 2])
        for kind in OURS:
            values = [value[own] if value.dim() else value for value in inputs(kind)]
            value, *gradients = value_and_gradients(OURS[kind], values, tile_rows=4)
            expected, *whole = value_and_gradients(SLOW[kind], inputs(kind))
            torch.testing.assert_close(value, expected, rtol=1e-6, atol=1e-6)
            for gradient, other in zip(gradients, whole, strict=True):
                if gradient.dim() == 0:  # a parameter: data-parallel training takes the mean
                    sum_over_processes(gradient)
                mine = other[own] if other.dim() else other
                torch.testing.assert_close(gradient / num_processes(), mine, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("count", SHARES)
def test_several_processes_find_the_loss_and_the_gradients_of_one(count: int) -> None:
    run_together(count, take_part)
