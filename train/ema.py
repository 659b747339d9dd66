"""Averaged weights: an exponential moving average of the parameters, which the evaluations read instead."""

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor


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
        """Return the averages by the model's names: where the model is sharded, so are they."""
        names = [name for name, _ in self._model.named_parameters()]
        return dict(zip(names, self._average, strict=True))

    @torch.no_grad()
    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up what `state` returned, which every process has."""
        for (name, _), value in zip(self._model.named_parameters(), self._average, strict=True):
            whole = state[name]
            if isinstance(value, DTensor):
                # Every process has the whole, and cuts its own part from it.
                whole = distribute_tensor(
                    whole.to(value.device), value.device_mesh, value.placements, src_data_rank=None
                )
            value.copy_(whole)
