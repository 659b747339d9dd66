"""AdamW whose statistics, and some weights, take half the memory (CLIP, sec. 2.5), rounded by chance so that
what is too small for a step of bfloat16 adds up all the same.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.optim.optimizer import ParamsT

_STATISTICS = ("exp_avg", "exp_avg_sq")
_BLOCK = 1 << 16  # values: a CPU's caches then hold what is between the operations


def random_bits(salt: int, first: int, num: int, device: torch.device) -> Tensor:
    """Return (num,) int32 of 32 random bits each: hashes of the salt and the places from `first` on
    (murmur3's finaliser). So a run goes on to the bit from a checkpoint, and any number of processes round
    the same values alike.
    """
    # Salts that follow one another must not hash the same numbers in another order.
    far = int.from_bytes(hashlib.blake2b(str(salt).encode(), digest_size=4).digest()) & 0x7FFFFFFF
    x = torch.arange(first, first + num, dtype=torch.int32, device=device).bitwise_xor_(far)
    for shift, factor in ((16, -0x7A143595), (13, -0x3D4D51CB)):
        x ^= (x >> shift) & (2 ** (32 - shift) - 1)
        x *= factor
    x ^= (x >> 16) & 0xFFFF
    return x


def round_by_chance(values: Tensor, bits: Tensor) -> Tensor:
    """Return float32 values in bfloat16, up or down with the chances that make the mean right.

    `bits`, of the same shape, are random numbers from 0 to 65,535: the low half of a float32 is what bfloat16
    leaves out, and a carry from there rounds up.
    """
    # Infinity has nothing there to carry from. What GPUs write for no number has only ones there.
    rounded = (values.view(torch.int32).clamp(max=0x7FFF0000) + bits).bitwise_and_(-0x10000)
    return rounded.view(torch.float32).bfloat16()


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
        tensors = [_local(tensor) for tensor in (parameter, parameter.grad, *map(state.get, _STATISTICS))]
        flat = [tensor.contiguous().view(-1) for tensor in tensors]
        step, first = int(state["step"]), _first(parameter)
        for part in _blocks(flat[0]):
            weights, gradient, mean, square = (tensor[part] for tensor in flat)
            _update_block(group, step, number, first + part.start, weights, gradient, mean, square)
        for tensor, changed in zip(tensors, flat, strict=True):
            if tensor.data_ptr() != changed.data_ptr():  # it was not contiguous
                tensor.copy_(changed.view_as(tensor))


def _update_block(
    group: dict[str, Any],
    step: int,
    number: int,
    first: int,
    weights: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
) -> None:
    """Take the step of values (n,) of parameter `number`, the first of them at place `first` of it."""
    (beta1, beta2), lr = group["betas"], float(group["lr"])
    gradient = gradient.float()
    new_mean = mean.float().lerp_(gradient, 1 - beta1)
    new_square = square.float().mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    divisor = (new_square / (1 - beta2**step)).sqrt_().add_(group["eps"])
    salt, num, device = 2 * (step * 1_000_003 + number), len(weights), weights.device
    bits = random_bits(salt, first, num, device)
    mean.copy_(round_by_chance(new_mean, bits & 0xFFFF))
    square.copy_(round_by_chance(new_square, (bits >> 16) & 0xFFFF))
    new = weights.float() if weights.dtype == torch.bfloat16 else weights
    new.mul_(1 - lr * group["weight_decay"]).addcdiv_(new_mean, divisor, value=-lr / (1 - beta1**step))
    if new is not weights:
        weights.copy_(round_by_chance(new, random_bits(salt + 1, first, num, device) & 0xFFFF))


def _blocks(values: Tensor) -> Iterator[slice]:
    """Yield the parts of (n,) values to compute at a time: all on a GPU, what fits into a CPU's caches."""
    size = _BLOCK if values.device.type == "cpu" else max(len(values), 1)
    return (slice(start, start + size) for start in range(0, len(values), size))


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
