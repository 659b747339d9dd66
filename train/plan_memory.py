"""What a step needs of a GPU's memory: counted on fake tensors, which have shapes and types but no bytes, by
the trainer's own model, so that it follows every architecture and option.
"""

import weakref
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from train.config import SpeedConfig, TrainConfig
from train.loss import TILE_ROWS
from train.models.transformer import Attention, Transformer
from train.optim import halve_text_weights
from train.parallel import Towers
from train.speed import set_speed

# The driver's own, kernels and libraries; a guess, as is the share that the allocator cannot use.
CONTEXT_BYTES = 10**9
USABLE = 0.92
# Beside what the forward pass saves, the backward pass holds the gradients of a layer's input and output.
NUM_WORKING = 2


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What the forward pass of a batch keeps for the backward pass, and its outputs, in bytes."""

    total: int
    largest: int  # of a single tensor


@dataclass(frozen=True, kw_only=True)
class StepMemory:
    """Bytes of one GPU in a step, as a function of the samples whose activations are there at once."""

    state: int  # weights, gradients, statistics of Adam, averaged weights
    fixed: int  # copies of the weights in bfloat16, the loss over the whole batch, the driver
    per_sample: int  # activations, and the working room of the backward pass

    def of(self, num_samples: int) -> int:
        """Return all bytes."""
        return self.state + self.fixed + num_samples * self.per_sample

    def most_samples(self, memory_bytes: float) -> int:
        """Return how many samples fit, 0 where not even one does."""
        return max(0, int((USABLE * memory_bytes - self.state - self.fixed) // self.per_sample))


@cache  # a model is made for it, which takes the better part of a second
def step_memory(config: TrainConfig, vocab_size: int, num_gpus: int, num_tokens: int) -> StepMemory:
    """Return what a step of a config needs of each of `num_gpus` GPUs, for captions of `num_tokens`."""
    with FakeTensorMode():
        towers = Towers(config.model.build(vocab_size))
        fused_attention(towers)
        if config.optim.text_weights == "bfloat16":
            halve_text_weights(towers.model)
        whole = _growth(towers, config, num_tokens)
        set_speed(towers.model, replace(config.speed, compile=False), torch.autocast("cpu"))
        one = count_saved(towers, config, 1, num_tokens)
        per_sample = whole if config.speed == SpeedConfig() else _growth(towers, config, num_tokens)
    # What is computed again is there for one block at a time.
    again = (whole.total - per_sample.total) // _num_blocks(towers)
    state = state_bytes(towers, config)
    # Features of all processes and their gradients, and a tile of the similarities three times over.
    features = 8 * 4 * config.data.batch_size * _embed_dim(towers)
    tiles = 3 * 4 * TILE_ROWS * config.data.batch_size
    return StepMemory(
        state=state // num_gpus if config.parallel == "fsdp" else state,
        fixed=one.total - per_sample.total + features + tiles + CONTEXT_BYTES,
        per_sample=per_sample.total + again + NUM_WORKING * whole.largest,
    )


def state_bytes(model: nn.Module, config: TrainConfig) -> int:
    """Return the bytes of weights, gradients, Adam's two statistics and averaged weights."""
    statistics = 2 * (2 if config.optim.statistics == "bfloat16" else 4)
    averaged = 0 if config.ema_decay is None else 4
    own = 2 * sum(parameter.nbytes for parameter in model.parameters())
    return own + (statistics + averaged) * sum(parameter.numel() for parameter in model.parameters())


def fused_attention(model: nn.Module) -> None:
    """Let attention keep what it keeps on a GPU: its inputs and outputs, and not every pair of tokens."""
    for part in model.modules():
        if isinstance(part, Attention):
            part.fused = True


def count_saved(towers: Towers, config: TrainConfig, num_samples: int, num_tokens: int) -> Saved:
    """Run the towers forward on `num_samples` samples and return what is held of it afterwards.

    Works on real tensors too. Multiplies in bfloat16 unless the config says float32.
    """
    side_px = config.model.image_side_px
    in_bfloat16 = config.precision != "float32"
    own = {tensor.untyped_storage()._cdata for tensor in (*towers.parameters(), *towers.buffers())}
    with _LiveStorages() as live, torch.autocast("cpu", enabled=in_bfloat16):
        images = torch.zeros(num_samples, 3, side_px, side_px)
        tokens = torch.zeros(num_samples, num_tokens, dtype=torch.int64)
        outputs = towers(images, tokens)
    sizes = live.sizes_but(own)
    del outputs
    return Saved(total=sum(sizes), largest=max(sizes))


class _LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch publishes no types for it
    """Looks at what operations return, and remembers which of it somebody still holds."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch publishes no types for it
        self._found: dict[int, tuple[weakref.ref[torch.UntypedStorage], int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        returned = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(returned):
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                self._found[storage._cdata] = weakref.ref(storage), storage.nbytes()
        return returned

    def sizes_but(self, known: set[int]) -> list[int]:
        """Return the bytes of each storage that is still there, but for those at known addresses."""
        found = self._found.items()
        return [size for address, (held, size) in found if held() is not None and address not in known]


def _growth(towers: Towers, config: TrainConfig, num_tokens: int) -> Saved:
    """Return what one sample more adds."""
    one, two = (count_saved(towers, config, number, num_tokens) for number in (1, 2))
    return Saved(total=two.total - one.total, largest=two.largest - one.largest or one.largest)


def _num_blocks(towers: Towers) -> int:
    """Return the blocks of the tower that has fewer of them."""
    return min(len(part.resblocks) for part in towers.modules() if isinstance(part, Transformer))


def has_batch_norm(config: TrainConfig) -> bool:
    """Return whether a config's model has batch norm, whose batches cannot be taken in parts."""
    with torch.device("meta"):
        model = config.model.build(vocab_size=8)
    return any(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def _embed_dim(towers: Towers) -> int:
    return towers.model.text_projection.shape[1]
