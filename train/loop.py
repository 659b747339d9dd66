"""MAIN PATH. Datasets and a config become a trained model in a run directory, through any number of
interruptions.

The loop knows no architecture: a model is whatever `config.model.build` returns.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from train.backward import backward
from train.config import TrainConfig
from train.copying import copied_ahead
from train.data import Batch, PairReader, refuse_repeats
from train.distributed import num_processes, processes, rank
from train.loss import LOSSES
from train.meter import Meter
from train.mix import mix_of
from train.optim import learning_rate
from train.oversight import Oversight
from train.plain_tars import open_pairs
from train.run_manifest import record_start
from train.state import TrainState, begin_or_resume, pick_device
from train.transforms import normalise


def fit(config: TrainConfig, data: Path | Sequence[Path], run_dir: Path) -> Path:
    """Train to the end and return `run_dir`; a run that was begun there is taken up at its newest checkpoint.
    `data` is where the dataset lies, or several do that are mixed.
    Where a launcher has started several processes, each calls this with the same arguments.

    Raises ValueError for a dataset that is not finished or a run begun with another config or dataset,
    TrainingError when the loss is no number any more, and StoppedError after a signal that asks for it.
    """
    with processes(pick_device(config)):
        places = data if isinstance(data, Sequence) else [data]
        datasets = [open_pairs(place) for place in places]
        refuse_repeats(mix_of(datasets, config.data.passes), config.data.batch_size)  # before a run is begun
        state = begin_or_resume(config, datasets, run_dir)
        record_start(run_dir, state.description, " ".join(map(str, places)), state.step, state.device)
        reader = PairReader(datasets, state.tokenizer, config, rank(), num_processes())
        num_parts = _num_parts(config, state)
        meter = Meter(config, state.device, state.dtype)
        with Oversight(config, state, reader, meter, run_dir) as oversight:
            while state.step < oversight.num_steps:
                batches = copied_ahead(reader.batches(state.step, oversight.num_steps), state.device)
                for batch in meter.waiting(batches):
                    lr, loss = learning_rate(batch.step, oversight.num_steps, config.optim), None
                    if not oversight.is_skipped(batch):
                        with meter.computing(*batch.tokens.shape):
                            loss = train_step(state, batch, lr, config, num_parts)
                    state.step = batch.step + 1
                    if not oversight.after_step(batch, loss, lr):
                        break  # the state went back, and so do the batches
    return run_dir


def train_step(state: TrainState, batch: Batch, lr: float, config: TrainConfig, num_parts: int = 1) -> Tensor:
    """Learn from one batch and return the loss, still on the device."""
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    images = normalise(batch.images, state.device)  # (B, 3, S, S)
    tokens = batch.tokens.to(state.device, non_blocking=True)  # (B, L)
    state.optimizer.zero_grad(set_to_none=True)
    loss = backward(state.towers, images, tokens, LOSSES[config.loss], state.autocast(), num_parts)
    state.optimizer.step()
    with torch.no_grad():
        # Clipped after the step and not in the forward pass, where it would stop the gradient for good.
        state.model.logit_scale.clamp_(0, math.log(config.optim.max_logit_scale))
    if state.ema:
        state.ema.update()
    return loss


def _num_parts(config: TrainConfig, state: TrainState) -> int:
    """Return in how many micro-batches each process takes its share: the same number for all of them."""
    size = config.data.micro_batch_size
    if size is None:
        return 1
    if any(isinstance(part, nn.BatchNorm2d) for part in state.model.modules()):
        raise ValueError(
            f"data.micro_batch_size is {size}, but the model has batch norm, whose statistics are those of "
            "what is computed at once. Next: leave it out, or train a ViT"
        )
    return math.ceil(math.ceil(config.data.batch_size / num_processes()) / size)
