"""MAIN PATH. A dataset and a config become a trained model in a run directory, through any number of
interruptions.

The loop knows no architecture: a model is whatever `config.model.build` returns.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from manifests.store import Dataset, open_dataset
from train.backward import backward
from train.config import TrainConfig
from train.data import Batch, PairReader
from train.distributed import num_processes, processes, rank
from train.loss import LOSSES
from train.metrics import RunLog
from train.optim import learning_rate
from train.state import TrainState, begin_or_resume, pick_device
from train.transforms import normalise


class TrainingError(RuntimeError):
    """The run cannot go on; what is kept stands in the message."""


def fit(config: TrainConfig, data: Path, run_dir: Path) -> Path:
    """Train to the end and return `run_dir`; a run that was begun there is taken up at its newest checkpoint.
    Where a launcher has started several processes, each calls this with the same arguments.

    Raises ValueError for a dataset that is not finished or a run begun with another config or dataset, and
    TrainingError when the loss is no number any more.
    """
    with processes(pick_device(config)):
        _train(config, open_dataset(data), run_dir)
    return run_dir


def _train(config: TrainConfig, dataset: Dataset, run_dir: Path) -> None:
    state = begin_or_resume(config, dataset, run_dir)
    reader = PairReader(dataset, state.tokenizer, config, rank(), num_processes())
    num_steps = config.num_epochs * reader.steps_per_epoch
    num_parts = _num_parts(config, state)
    with RunLog(
        run_dir,
        first_step=state.step,
        num_steps=num_steps,
        batch_size=config.data.batch_size,
        ledger=config.ledger,
    ) as log:
        for batch in reader.batches(state.step, num_steps):
            lr = learning_rate(batch.step, num_steps, config.optim)
            loss = train_step(state, batch, lr, config, num_parts)
            log.batch(state.step, batch.keys, batch.bad_pictures)
            is_last = state.step == num_steps
            if is_last or state.step % config.log_every_steps == 0:
                log.step(_measure(state, loss, lr, reader, run_dir))
            if is_last or state.step % config.checkpoint_every_steps == 0:
                state.save(run_dir, config.num_checkpoints_kept)


def train_step(state: TrainState, batch: Batch, lr: float, config: TrainConfig, num_parts: int = 1) -> Tensor:
    """Learn from one batch, advance `state` by a step, and return the loss, still on the device."""
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
    state.step += 1
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


def _measure(
    state: TrainState, loss: Tensor, lr: float, reader: PairReader, run_dir: Path
) -> dict[str, float | int]:
    """Return a line of metrics.jsonl. The one place where the loop waits for the device."""
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} at step {state.step}. "
            f"Kept: the newest checkpoint in {run_dir / 'checkpoints'}. "
            f"Next: a new run with a lower --optim.peak-lr or more --optim.num-warmup-steps"
        )
    return {
        "step": state.step,
        "epoch": (state.step - 1) // reader.steps_per_epoch,
        "num_samples": state.step * reader.batch_size,
        "loss": value,
        "lr": lr,
        "logit_scale": state.model.logit_scale.exp().item(),
    }
