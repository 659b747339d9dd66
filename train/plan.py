"""A run before it is queued: memory, samples a second, hours and energy of a config on GPUs of a kind.

Memory and operations are counted; speed is an assumption: a step reaches ASSUMED_MFU of what large matrix
products reach on that GPU, and no more than its memory can move. What `tests.bench.train_gpu` has measured
takes the assumption's place.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.config import ModelConfig, TrainConfig
from train.flops import TRAINING, SampleFlops
from train.gpus import GPUS, Gpu
from train.models.paper import PAPER_MODELS
from train.plan_memory import StepMemory, has_batch_norm, step_memory

ASSUMED_MFU = 0.5  # of the rate of large matrix products
# What is saved for the backward pass is written, read, and its gradient written and read.
MEMORY_PASSES = 4


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a run takes. Bytes are of one GPU; samples, hours and energy of all of them."""

    gpu: str
    num_gpus: int
    num_tokens: int
    num_samples: int
    flops_per_sample: int  # forward and backward
    state_bytes: int  # weights, gradients, Adam's statistics, averaged weights
    memory_bytes: int
    memory_of_gpu_bytes: int
    samples_per_gpu: int
    micro_batch_size: int  # as large as fits
    samples_per_s: float
    mfu: float  # of the rate of large matrix products
    mfu_source: str
    bound: str  # what the speed is limited by
    hours: float
    energy_kwh: float  # of the GPUs at their full power

    @property
    def in_parts(self) -> bool:
        """Return whether a GPU takes its share of a batch in micro-batches, whose towers run twice."""
        return self.micro_batch_size < self.samples_per_gpu


def plan_run(
    config: TrainConfig,
    *,
    gpu: str,
    num_gpus: int,
    num_pairs: int,
    num_tokens: int | None = None,
    measured: Path | None = None,
) -> Plan:
    """Return what a config takes on `num_gpus` GPUs and `num_pairs` pairs, captions having `num_tokens`.

    `measured` is a file whose last line is what `tests.bench.train_gpu` printed. Raises ValueError for a GPU
    that is not in GPUS, and where not even one sample fits.
    """
    kind = _known(gpu)
    if num_gpus < 1 or num_pairs < config.data.batch_size:
        raise ValueError(
            f"{num_gpus} GPUs and {num_pairs} pairs, must be at least 1 and a batch of "
            f"{config.data.batch_size}. Next: pass another --num-gpus, --num-pairs or --data.batch-size"
        )
    tokens = config.model.context_length if num_tokens is None else num_tokens
    if not 3 <= tokens <= config.model.context_length:
        raise ValueError(
            f"num_tokens is {tokens}, must be 3 to {config.model.context_length}. Next: another --num-tokens"
        )
    memory = step_memory(config, config.tokenizer.vocab_size, num_gpus, tokens)
    share = math.ceil(config.data.batch_size / num_gpus)
    micro = _micro_batch(config, memory, kind, share, gpu)
    flops = SampleFlops(config.model, config.speed.patch_dropout).training(tokens)
    mfu, source = _mfu(config.model, measured)
    # Gradient caching runs the towers forward once more, and so does computing blocks again.
    num_again = (micro < share) + (config.speed.recompute == "blocks")
    work = flops * (TRAINING + num_again) / TRAINING
    by_math = kind.matmul_tflops * 1e12 * mfu / work
    by_memory = kind.bandwidth_tb_per_s * 1e12 / (MEMORY_PASSES * memory.per_sample)
    per_s = num_gpus * min(by_math, by_memory)
    num_samples = config.num_epochs * (num_pairs // config.data.batch_size) * config.data.batch_size
    hours = num_samples / per_s / 3600
    return Plan(
        gpu=gpu,
        num_gpus=num_gpus,
        num_tokens=tokens,
        num_samples=num_samples,
        flops_per_sample=flops,
        state_bytes=memory.state,
        memory_bytes=memory.of(micro),
        memory_of_gpu_bytes=int(kind.memory_gb * 1e9),
        samples_per_gpu=share,
        micro_batch_size=micro,
        samples_per_s=per_s,
        mfu=per_s * flops / (num_gpus * kind.matmul_tflops * 1e12),
        mfu_source=source,
        bound="matrix products" if by_math <= by_memory else "memory bandwidth",
        hours=hours,
        energy_kwh=hours * num_gpus * kind.power_w / 1000,
    )


def _known(gpu: str) -> Gpu:
    if gpu not in GPUS:
        raise ValueError(f"unknown GPU {gpu!r}, known: {', '.join(GPUS)}. Next: pass one of these as --gpu")
    return GPUS[gpu]


def _micro_batch(config: TrainConfig, memory: StepMemory, kind: Gpu, share: int, gpu: str) -> int:
    most = memory.most_samples(kind.memory_gb * 1e9)
    if most == 0:
        needed = memory.of(1) / 1e9
        raise ValueError(
            f"one sample needs {needed:.1f} GB of a {gpu}'s {kind.memory_gb:g}. "
            "Next: --parallel fsdp over more GPUs, a smaller --data.batch-size, or a larger GPU"
        )
    if most < share and has_batch_norm(config):
        raise ValueError(
            f"a batch of {config.data.batch_size} is {share} samples for each GPU, of which {most} fit, and "
            "batch norm does not let it be taken in parts. "
            f"Next: --num-gpus {math.ceil(config.data.batch_size / most)}, or a smaller --data.batch-size"
        )
    return min(share, most, config.data.micro_batch_size or share)


def _mfu(model: ModelConfig, measured: Path | None) -> tuple[float, str]:
    """Return the share of the matrix products' rate that a step reaches, and who says so."""
    if measured is None:
        return ASSUMED_MFU, "assumed"
    name = next((name for name, other in PAPER_MODELS.items() if other == model), None)
    try:
        found: dict[str, Any] = json.loads(measured.read_text(encoding="utf-8").splitlines()[-1])
        mfu = found["models"].get(name, {}).get("mfu")
    except (OSError, IndexError, KeyError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{measured} does not end in what train_gpu prints ({error}). "
            f"Next: make bench NAME=train_gpu > {measured}"
        ) from error
    return (ASSUMED_MFU, "assumed; not among the measured") if mfu is None else (mfu, f"measured, {measured}")
