"""What a step needs of a GPU's memory: counted on fake tensors, which have shapes and types but no bytes, by
the trainer's own model, so that it follows every architecture and option.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from train.config import TrainConfig
from train.loss import TILE_ROWS
from train.models.transformer import Attention
from train.optim import halve_text_weights
from train.parallel import Towers

# The driver's own, kernels and libraries; a guess, as is the share that the allocator cannot use.
CONTEXT_BYTES = 10**9
USABLE = 0.92
# Beside what the forward pass saves, the backward pass holds the gradients of a layer's input and output.
NUM_WORKING = 2


@dataclass(frozen=True, kw_only=True)
class Saved:
    """What the forward pass of a batch keeps for the backward pass, parameters left out, in bytes."""

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


def step_memory(config: TrainConfig, vocab_size: int, num_gpus: int, num_tokens: int) -> StepMemory:
    """Return what a step of a config needs of each of `num_gpus` GPUs, for captions of `num_tokens`."""
    with FakeTensorMode():
        towers = Towers(config.model.build(vocab_size))
        fused_attention(towers)
        if config.optim.text_weights == "bfloat16":
            halve_text_weights(towers.model)
        one, two = (count_saved(towers, config, number, num_tokens) for number in (1, 2))
    per_sample = two.total - one.total
    state = state_bytes(towers, config)
    # Features of all processes and their gradients, and a tile of the similarities three times over.
    features = 8 * 4 * config.data.batch_size * _embed_dim(towers)
    tiles = 3 * 4 * TILE_ROWS * config.data.batch_size
    return StepMemory(
        state=state // num_gpus if config.parallel == "fsdp" else state,
        fixed=one.total - per_sample + features + tiles + CONTEXT_BYTES,
        per_sample=per_sample + NUM_WORKING * (two.largest - one.largest or one.largest),
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
    """Run the towers forward on `num_samples` samples and return what autograd keeps of it.

    Works on real tensors too. Multiplies in bfloat16 unless the config says float32.
    """
    side_px = config.model.image_side_px
    images = torch.zeros(num_samples, 3, side_px, side_px)
    tokens = torch.zeros(num_samples, num_tokens, dtype=torch.int64)
    own = {parameter.untyped_storage()._cdata for parameter in towers.parameters()}
    kept: dict[int, Tensor] = {}  # held on to, so that no storage's address is used again

    def pack(tensor: Tensor) -> Tensor:
        address = tensor.untyped_storage()._cdata
        if address not in own:
            kept.setdefault(address, tensor)
        return tensor

    in_bfloat16 = config.precision != "float32"
    with saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", enabled=in_bfloat16):
        outputs = towers(images, tokens)
    sizes = [tensor.untyped_storage().nbytes() for tensor in kept.values()]
    del outputs
    return Saved(total=sum(sizes), largest=max(sizes))


def has_batch_norm(config: TrainConfig) -> bool:
    """Return whether a config's model has batch norm, whose batches cannot be taken in parts."""
    with torch.device("meta"):
        model = config.model.build(vocab_size=8)
    return any(isinstance(part, nn.BatchNorm2d) for part in model.modules())


def _embed_dim(towers: Towers) -> int:
    return towers.model.text_projection.shape[1]
