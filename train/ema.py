"""Averaged weights: an exponential moving average of the parameters, which the evaluations read instead."""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor


class Ema:
    """The average of a model's parameters; each step it moves by 1 - decay towards them."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._average = [parameter.detach().float().clone() for parameter in model.parameters()]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a step."""
        now = [parameter.float() for parameter in self._model.parameters()]
        torch._foreach_lerp_(self._average, now, 1 - self._decay)

    def state(self) -> dict[str, Tensor]:
        """Return the whole averages by the model's names, on the CPU. All processes must ask."""
        names = [name for name, _ in self._model.named_parameters()]
        return {name: _whole(value).cpu().clone() for name, value in zip(names, self._average, strict=True)}

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` returned, which every process has."""
        for (name, _), value in zip(self._model.named_parameters(), self._average, strict=True):
            if isinstance(value, DTensor):
                start, stop = _own_rows(value)
                value.to_local().copy_(state[name][start:stop])
            else:
                value.copy_(state[name])


def _whole(value: Tensor) -> Tensor:
    return value.full_tensor() if isinstance(value, DTensor) else value


def _own_rows(value: DTensor) -> tuple[int, int]:
    """Return which rows of the whole lie in this process: FSDP2 cuts the first dimension as `chunk` does."""
    mesh = value.device_mesh
    per_process = -(-value.shape[0] // mesh.size())
    start = min(mesh.get_local_rank() * per_process, value.shape[0])
    return start, min(start + per_process, value.shape[0])
