"""A model spread over processes: copies whose gradients are averaged (DDP), or shards of it (FSDP2).

What one kind of run wrote into its checkpoints, whole or in parts, any other takes up.
"""

from contextlib import AbstractContextManager, nullcontext
from inspect import signature
from typing import Any, Literal, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from train.distributed import num_processes
from train.models.clip import Clip
from train.models.transformer import ResidualAttentionBlock

Parallel = Literal["ddp", "fsdp"]
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)
_SPREAD = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)


class Outputs(NamedTuple):
    """What the loss is computed from: features (B, embed_dim), not of unit length, and scalars."""

    image_features: Tensor
    text_features: Tensor
    logit_scale: Tensor  # what cosines are multiplied with
    logit_bias: Tensor | None  # of the sigmoid loss


class Towers(nn.Module):
    """Both towers and the temperature in one forward pass, which is what DDP and FSDP2 take hold of."""

    def __init__(self, model: Clip, logit_bias: float | None = None) -> None:
        super().__init__()
        self.model = model
        self.logit_bias = None if logit_bias is None else nn.Parameter(torch.tensor(logit_bias))

    def forward(self, images: Tensor, tokens: Tensor) -> Outputs:
        features = self.model.encode_image(images), self.model.encode_text(tokens)
        return Outputs(*features, self.model.logit_scale.exp(), self.logit_bias)


class SpreadTowers:
    """Towers over all processes of the run, or alone in one."""

    def __init__(self, towers: Towers, kind: Parallel) -> None:
        self.towers = towers
        self._called: nn.Module = towers
        self._by_hand: list[nn.Parameter] = []
        if num_processes() == 1:
            return
        if kind == "ddp":
            self._called = copies(towers)
        else:
            # FSDP2 shards no scalars: every process has those, and their gradients are averaged by hand.
            self._by_hand = [parameter for parameter in towers.parameters() if parameter.ndim == 0]
            for block in towers.modules():
                if isinstance(block, ResidualAttentionBlock):
                    fully_shard(block)
            fully_shard(towers, ignored_params=set(self._by_hand))

    def __call__(self, images: Tensor, tokens: Tensor) -> Outputs:
        outputs: Outputs = self._called(images, tokens)
        return outputs

    def gradients_shared(self, shared: bool) -> AbstractContextManager[None]:
        """Return a context in which backward passes leave gradients with this process unless `shared`."""
        if isinstance(self._called, FSDPModule):
            self._called.set_requires_gradient_sync(shared)
        elif isinstance(self._called, DistributedDataParallel) and not shared:
            unshared: AbstractContextManager[None] = self._called.no_sync()
            return unshared
        return nullcontext()

    def finish_backward(self) -> None:
        """Average the gradients that no wrapper takes care of."""
        for parameter in self._by_hand:
            if parameter.grad is not None:
                dist.all_reduce(parameter.grad)
                parameter.grad /= num_processes()

    def state(
        self, optimizer: torch.optim.Optimizer, in_parts: bool = False
    ) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the state of the model and of its optimiser in one process's form: names of `Clip`, and
        numbers for the optimiser's parameters. The tensors may be the model's own. All must ask.

        What FSDP2 shards stays so with `in_parts`; else the first process gets it whole, the others nothing.
        """
        options = StateDictOptions() if in_parts else _WHOLE
        model: dict[str, Any] = get_model_state_dict(self.towers, options=options)
        named: dict[str, Any] = get_optimizer_state_dict(self.towers, optimizer, options=options)
        if not model:
            return {}, {}
        groups, states, number = [], {}, 0
        for group in named["param_groups"]:
            names = group["params"]
            for position, name in enumerate(names, start=number):
                if name in named["state"]:
                    states[position] = named["state"][name]
            groups.append(group | {"params": list(range(number, number + len(names)))})
            number += len(names)
        return _renamed(model, "model.", ""), {"state": states, "param_groups": groups}

    def restore(
        self, optimizer: torch.optim.Optimizer, model: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Take up what `state` returned, which every process has."""
        own = dict(self.towers.named_parameters())
        names_of = {id(parameter): name for name, parameter in own.items()}
        names = [
            [names_of[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups
        ]
        flat = [name for group in names for name in group]
        whole: dict[str, Any] = {
            "state": {flat[number]: values for number, values in state["state"].items()},
            "param_groups": [
                group | {"params": listed} for group, listed in zip(state["param_groups"], names, strict=True)
            ],
        }
        options = _SPREAD if isinstance(self._called, FSDPModule) else StateDictOptions()
        prefixed: dict[str, Any] = _prefixed(model, self.towers)
        set_model_state_dict(self.towers, prefixed, options=options)
        set_optimizer_state_dict(self.towers, optimizer, whole, options=options)


def copies(towers: nn.Module) -> DistributedDataParallel:
    """Return the towers under DDP, each process with its own statistics of batch norm."""
    for part in towers.modules():
        # Gradients of such weights come with these strides; DDP takes others for another layout, and warns.
        if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1):
            part.weight.data = part.weight.data.to(memory_format=torch.channels_last)
    named = "forward_sync_buffers" in signature(DistributedDataParallel).parameters  # from torch 2.13 on
    settings: dict[str, Any] = {"forward_sync_buffers" if named else "broadcast_buffers": False}
    return DistributedDataParallel(towers, **settings)


def whole(value: Tensor) -> Tensor:
    """Return a tensor with the rows of all processes, which all must ask for."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def _renamed(state: dict[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {new + name.removeprefix(old): value for name, value in state.items()}


def _prefixed(state: dict[str, Tensor], towers: Towers) -> dict[str, Tensor]:
    own = towers.state_dict().keys()
    return {name if name in own else f"model.{name}": value for name, value in state.items()}
