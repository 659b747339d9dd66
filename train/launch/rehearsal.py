"""Two steps of a run on this machine's CPU before it is queued: what a node would find wrong after hours."""

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from train.config import TrainConfig
from train.data import PairReader
from train.loop import train_step
from train.plain_tars import open_pairs
from train.state import begin_or_resume

NUM_STEPS = 2
MAX_PAIRS = 8


def rehearsed(config: TrainConfig, data: Sequence[Path]) -> str:
    """Return what came of a rehearsal as one line; one that this machine has no data for is none."""
    for place in data:
        if not place.exists():
            return f"no rehearsal: {place} is not on this machine"
    losses = ", ".join(f"{loss:.3f}" for loss in rehearse(config, data))
    return f"rehearsed: {NUM_STEPS} steps on this machine's CPU, losses {losses}"


def rehearse(config: TrainConfig, data: Sequence[Path]) -> list[float]:
    """Return the losses of two steps of the exact config, on the CPU and of a few pairs each.

    Model, loss, optimizer, tokenizer and data are the run's own; nothing stays on the disk. Raises what the
    run itself would: ValueError for a dataset that is none, pictures that cannot be read, settings that do
    not go together.
    """
    small = replace(
        config,
        data=replace(config.data, batch_size=min(MAX_PAIRS, config.data.batch_size), micro_batch_size=None),
        speed=replace(config.speed, compile=False),
        device="cpu",
        precision="bfloat16" if config.optim.text_weights == "bfloat16" else "float32",
    )
    with tempfile.TemporaryDirectory(prefix="rehearsal-") as scratch:
        datasets = [open_pairs(place) for place in data]
        state = begin_or_resume(small, datasets, Path(scratch))
        reader = PairReader(datasets, state.tokenizer, small, 0, 1)
        return [train_step(state, batch, 0.0, small).item() for batch in reader.batches(0, NUM_STEPS)]
