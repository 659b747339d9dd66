"""What half-precision Adam costs and saves (CLIP, sec. 2.5): memory of weights and statistics, CPU time of
its steps, and the loss of the same training with each, beside torch's AdamW.

Textbook pictures and their texts, CLIP's vocabulary, batches of 32, bfloat16, one thread; the same batches
for all, and each seed another start and order. The loss is the mean of the last ten steps.
"""

import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from manifests.store import open_dataset
from tests.bench.learning_tasks import TEXTBOOK, make_data
from train.config import OptimConfig
from train.data import PairReader
from train.loop import train_step
from train.optim import learning_rate
from train.state import TrainState, begin_or_resume

NUM_STEPS, BATCH_SIZE, SEEDS = 60, 32, (0, 1, 2)
ADAMW = OptimConfig(peak_lr=1e-3, num_warmup_steps=20, weight_decay=0.1)
VARIANTS = {
    "adamw": ADAMW,
    "statistics": replace(ADAMW, statistics="bfloat16"),
    "statistics_and_text": replace(ADAMW, statistics="bfloat16", text_weights="bfloat16"),
}


def main() -> int:
    """Print the figures as one JSON object."""
    torch.set_num_threads(1)  # its time is the thread's, without those that decode
    with tempfile.TemporaryDirectory() as folder:
        make_data("textbook", Path(folder))
        found = {name: [measured(name, seed, Path(folder)) for seed in SEEDS] for name in VARIANTS}
    medians = {
        name: {what: statistics.median(run[what] for run in runs) for what in runs[0]}
        for name, runs in found.items()
    }
    for name, runs in found.items():
        medians[name]["loss_mean"] = statistics.mean(run["loss"] for run in runs)
        medians[name]["loss_spread"] = statistics.stdev(run["loss"] for run in runs)
    whole = medians["adamw"]
    ratios = {
        f"{name}_{what}": medians[name][what] / whole[what]
        for name in VARIANTS
        if name != "adamw"
        for what in ("state_mb", "optimizer_cpu_ms", "step_cpu_ms")
    }
    print(json.dumps({"num_steps": NUM_STEPS, "seeds": SEEDS, **medians, "ratios": ratios}))
    return 0


def measured(name: str, seed: int, root: Path) -> dict[str, float]:
    """Train, and return the loss, the CPU time of a step and of the optimiser in it, and the memory."""
    config = replace(
        TEXTBOOK,
        optim=VARIANTS[name],
        data=replace(TEXTBOOK.data, batch_size=BATCH_SIZE),
        seed=seed,
        num_epochs=4,
    )
    dataset = open_dataset(root / "train")
    state = begin_or_resume(config, dataset, root / "runs" / f"{name}-{seed}")
    losses, of_steps, of_optimizer = [], [], []
    state.optimizer.register_step_pre_hook(lambda *_: of_optimizer.append(-time.thread_time()))
    state.optimizer.register_step_post_hook(lambda *_: of_optimizer.append(time.thread_time()))
    for batch in PairReader(dataset, state.tokenizer, config).batches(0, NUM_STEPS):
        started = time.thread_time()
        loss = train_step(state, batch, learning_rate(batch.step, NUM_STEPS, config.optim), config)
        of_steps.append(time.thread_time() - started)
        losses.append(loss.item())
    seconds = [end + start for start, end in zip(of_optimizer[::2], of_optimizer[1::2], strict=True)]
    return {
        "loss": statistics.mean(losses[-10:]),
        "first_loss": losses[0],
        "step_cpu_ms": 1e3 * statistics.median(of_steps),
        "optimizer_cpu_ms": 1e3 * statistics.median(seconds),
        "state_mb": state_bytes(state) / 1e6,
    }


def state_bytes(state: TrainState) -> int:
    """Return what weights and Adam's statistics take."""
    statistics_of = [value for known in state.optimizer.state.values() for value in known.values()]
    return sum(tensor.nbytes for tensor in (*state.towers.towers.parameters(), *statistics_of))


if __name__ == "__main__":
    raise SystemExit(main())
