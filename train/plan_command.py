"""`python -m train plan`: a plan as a person reads it, or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from manifests.places import Place
from train.config import TrainConfig
from train.gpus import GPUS
from train.mix import Part, describe_mix, mix_of, shares
from train.plain_tars import open_pairs
from train.plan import Plan, plan_run

PLAN_USAGE = f"""\
What a run would take, before it is queued: memory, the largest micro-batch, samples/s, hours and energy.

  python -m train plan vit_b_32 --gpu h200 --num-gpus 8 --num-pairs 400000000 --data.batch-size 32768

GPUs: {", ".join(GPUS)}. Memory and operations are counted on the model itself; the speed is assumed unless
--measured names the output of `make bench NAME=train_gpu`.
"""


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """What `plan` needs beside the recipe's own fields."""

    gpu: str
    num_gpus: int = 1
    num_pairs: int = 400_000_000  # of an epoch; those of --data where it is given
    data: tuple[Place, ...] = ()  # the datasets, mixed as --data.passes says
    num_tokens: int | None = None  # of the longest caption of a batch; None: the model's context length
    measured: Path | None = None  # what train_gpu printed, for its MFU in place of the assumed one
    gpu_hour_price: float | None = None  # in any currency; None: no cost is told
    price_source: str = ""  # whose price, and of which day
    json: bool = False
    config: Annotated[TrainConfig, tyro.conf.arg(name="")]

    def text(self) -> str:
        """Return the plan as it is printed. Raises ValueError as `plan_run` does."""
        parts = self._parts()
        plan = plan_run(
            self.config,
            gpu=self.gpu,
            num_gpus=self.num_gpus,
            num_pairs=sum(part.num_pairs for part in parts) if parts else self.num_pairs,
            num_tokens=self.num_tokens,
            measured=self.measured,
        )
        cost = self._cost(plan)
        if not self.json:
            told = [f"{'cost':<11} {cost:,.0f}, {self.price_source}"] if cost is not None else []
            return "\n".join([describe(plan, parts), *told])
        return json.dumps(asdict(plan) | {"cost": cost} | ({"dataset": describe_mix(parts)} if parts else {}))

    def _cost(self, plan: Plan) -> float | None:
        if self.gpu_hour_price is None:
            return None
        if self.gpu_hour_price < 0 or not self.price_source:
            raise ValueError(
                f"gpu-hour-price is {self.gpu_hour_price:g} by {self.price_source!r}, must be 0 or more and "
                "somebody's. Next: --price-source 'WHOSE, YYYY-MM-DD'"
            )
        return plan.hours * plan.num_gpus * self.gpu_hour_price

    def _parts(self) -> tuple[Part, ...]:
        datasets = [open_pairs(place) for place in self.data]
        return mix_of(datasets, self.config.data.passes) if datasets else ()


def describe(plan: Plan, mix: Sequence[Part] = ()) -> str:
    """Return a plan in a few lines, and which part of every batch each dataset is."""
    kind = GPUS[plan.gpu]
    parts = f"{plan.samples_per_gpu:,} samples at once"
    if plan.in_parts:
        parts = (
            f"{plan.samples_per_gpu:,} samples in micro-batches of {plan.micro_batch_size:,}, the most that "
            f"fit: --data.micro-batch-size {plan.micro_batch_size}; a third more work"
        )
    measured = "measured" if kind.measured_tflops else f"{kind.matmul_tflops / kind.bf16_tflops:.0%} of it"
    rows = {
        "GPU": f"{plan.num_gpus} x {plan.gpu}: {kind.bf16_tflops:,g} TFLOP/s bf16, {kind.memory_gb:g} GB "
        f"({kind.source})",
        "each holds": parts,
        "memory": f"{plan.memory_bytes / 1e9:.1f} of {plan.memory_of_gpu_bytes / 1e9:g} GB, weights and Adam "
        f"{plan.state_bytes / 1e9:.1f}",
        "a sample": f"{plan.flops_per_sample / 1e9:,.1f} GFLOP, {plan.num_tokens} tokens",
        "speed": f"{plan.samples_per_s:,.0f} samples/s, limited by {plan.bound}",
        "MFU": f"{plan.mfu:.0%} of {kind.matmul_tflops:,.0f} TFLOP/s in matrix products ({measured}); "
        f"{plan.mfu_source}",
        "time": f"{plan.hours:,.1f} hours for {plan.num_samples:,} samples, "
        f"{plan.hours * plan.num_gpus:,.0f} GPU hours",
        "energy": f"{plan.energy_kwh:,.0f} kWh, the GPUs alone at {kind.power_w:g} W each",
    }
    mixed = [
        f"{'data':<11} {part.name}: {share:.1%} of every batch, {part.passes:g} x "
        f"{part.dataset.manifest.num_pairs:,} pairs an epoch"
        for part, share in zip(mix, shares(mix), strict=True)
    ]
    return "\n".join([*(f"{name:<11} {value}" for name, value in rows.items()), *mixed])
