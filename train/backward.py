"""The gradient of a batch, whole or in micro-batches whose activations fit into memory.

In micro-batches the towers run twice (gradient caching, Gao et al. 2021): first without a graph, for the
features of the whole batch, from which the loss gives the gradient of each feature; then part by part with
one, with the same random numbers. The result is that of the whole batch, the temperature's gradient included,
because the loss is computed once, over all of it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

import torch
from torch import Tensor

from train.parallel import Outputs, SpreadTowers

Autocast = AbstractContextManager[object]


class Loss(Protocol):
    """Outputs of the towers to a scalar."""

    def __call__(self, outputs: Outputs, /) -> Tensor: ...


def backward(
    towers: SpreadTowers, images: Tensor, tokens: Tensor, loss: Loss, autocast: Autocast, num_parts: int
) -> Tensor:
    """Add the gradients of a batch to the parameters; return its loss, without a graph.

    Images are (B, 3, S, S), tokens (B, L). With `num_parts` above 1, B / num_parts pairs have activations at
    a time; every process must ask for the same number of parts.
    """
    if num_parts == 1:
        with autocast:
            outputs = towers(images, tokens)
        value = loss(outputs)
        value.backward()  # type: ignore[no-untyped-call]  # torch publishes no types for it
    else:
        value = _backward_in_parts(towers, images, tokens, loss, autocast, num_parts)
    towers.finish_backward()
    return value.detach()


def _backward_in_parts(
    towers: SpreadTowers, images: Tensor, tokens: Tensor, loss: Loss, autocast: Autocast, num_parts: int
) -> Tensor:
    parts = list(zip(images.tensor_split(num_parts), tokens.tensor_split(num_parts), strict=True))
    states, found = [], []
    for part in parts:
        states.append(_random_state(images.device))
        with torch.no_grad(), autocast:
            found.append(towers(*part))
    leaves = _leaves(found)
    value = loss(leaves)
    value.backward()  # type: ignore[no-untyped-call]  # as above
    gradients = zip(*(_gradient(leaf).tensor_split(num_parts) for leaf in leaves[:2]), strict=True)
    for number, (part, state, given) in enumerate(zip(parts, states, gradients, strict=True)):
        last = number == num_parts - 1
        with towers.gradients_shared(last), _random_numbers_of(state, images.device):
            with autocast:
                outputs = towers(*part)
            heads, wanted = list(outputs[:2]), list(given)
            if last:  # scalars enter the loss once
                scalars = [
                    (new, leaf) for new, leaf in zip(outputs[2:], leaves[2:], strict=True) if leaf is not None
                ]
                heads += [new for new, _ in scalars if new is not None]
                wanted += [_gradient(leaf) for _, leaf in scalars]
            torch.autograd.backward(heads, wanted)
    return value


def _leaves(found: list[Outputs]) -> Outputs:
    """Return the outputs of all parts as one, whose gradients can be asked for."""
    first = found[0]
    return Outputs(
        torch.cat([outputs.image_features for outputs in found]).requires_grad_(),
        torch.cat([outputs.text_features for outputs in found]).requires_grad_(),
        first.logit_scale.detach().clone().requires_grad_(),
        None if first.logit_bias is None else first.logit_bias.detach().clone().requires_grad_(),
    )


def _gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def _random_state(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


@contextmanager
def _random_numbers_of(states: list[Tensor], device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.set_rng_state(states[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(states[1], device)
        yield
