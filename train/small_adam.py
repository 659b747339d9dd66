"""AdamW whose statistics, and some weights, take half the memory (CLIP, sec. 2.5), rounded by chance so that
what is too small for a step of bfloat16 adds up all the same.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim.optimizer import ParamsT

_STATISTICS = ("exp_avg", "exp_avg_sq")


def round_by_chance(values: Tensor, salt: int, first: int = 0) -> Tensor:
    """Return float32 values in bfloat16, up or down with the chances that make the mean right.

    The chance is a hash of the salt and the value's place, counted from `first` (murmur3's finaliser), so
    that a run goes on to the bit from a checkpoint, and any number of processes round the same values alike.
    """
    # Salts that follow one another must not hash the same numbers in another order.
    far = int.from_bytes(hashlib.blake2b(str(salt).encode(), digest_size=4).digest()) & 0x7FFFFFFF
    x = torch.arange(first, first + values.numel(), dtype=torch.int32, device=values.device) ^ far
    for shift, factor in ((16, -0x7A143595), (13, -0x3D4D51CB)):
        x = (x ^ ((x >> shift) & (2 ** (32 - shift) - 1))) * factor
    noise = (x ^ (x >> 16)) & 0xFFFF
    # The low half of a float32 is what bfloat16 leaves out: a carry from there rounds up.
    rounded = ((values.contiguous().view(torch.int32) + noise.view_as(values)) & -0x10000).view(torch.float32)
    return torch.where(values.isfinite(), rounded, values).bfloat16()


class SmallAdamW(torch.optim.Optimizer):
    """AdamW with statistics in bfloat16; computes in float32. Weights in bfloat16 are rounded by chance."""

    def __init__(
        self, params: ParamsT, *, lr: float, betas: tuple[float, float], eps: float, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closure
        """Take a step with the gradients that are there."""
        assert closure is None
        for number, (group, parameter) in enumerate(self._parameters()):
            if parameter.grad is not None:
                self._update(number, group, parameter)

    def _parameters(self) -> Iterable[tuple[dict[str, Any], Tensor]]:
        return ((group, parameter) for group in self.param_groups for parameter in group["params"])

    def _update(self, number: int, group: dict[str, Any], parameter: Tensor) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0)
            for name in _STATISTICS:
                state[name] = torch.zeros_like(parameter, dtype=torch.bfloat16)
        for name in _STATISTICS:
            # torch brings what it loads to the parameter's type, which loses nothing.
            state[name] = state[name].bfloat16()
        state["step"] += 1
        step, (beta1, beta2), lr = int(state["step"]), group["betas"], float(group["lr"])
        weights, gradient = _local(parameter), _local(parameter.grad).float()
        mean, square = (_local(state[name]) for name in _STATISTICS)
        new_mean = mean.float().lerp_(gradient, 1 - beta1)
        new_square = square.float().mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        divisor = (new_square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        new = weights.float() * (1 - lr * group["weight_decay"])
        new.addcdiv_(new_mean, divisor, value=-lr / (1 - beta1**step))
        salt, first = 3 * (step * 1_000_003 + number), _first(parameter)
        mean.copy_(round_by_chance(new_mean, salt, first))
        square.copy_(round_by_chance(new_square, salt + 1, first))
        weights.copy_(round_by_chance(new, salt + 2, first) if weights.dtype == torch.bfloat16 else new)


def _local(tensor: Tensor | None) -> Tensor:
    """Return the part of a tensor that lies in this process."""
    assert tensor is not None
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _first(tensor: Tensor) -> int:
    """Return the place in the whole tensor of the first value that lies in this process."""
    if not isinstance(tensor, DTensor):
        return 0
    # As torch.chunk cuts: all processes have as many rows as the first, but for the last ones.
    num_rows, mesh = len(tensor), tensor.device_mesh
    first_row = min(num_rows, mesh.get_local_rank() * -(-num_rows // mesh.size()))
    return first_row * (tensor.numel() // max(num_rows, 1))
