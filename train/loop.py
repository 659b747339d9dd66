"""MAIN PATH. A dataset and a config become a trained model in a run directory, through any number of
interruptions.

The loop knows no architecture: a model is whatever `config.model.build` returns.
"""

import math
from pathlib import Path

import torch
from torch import Tensor

from manifests.store import open_dataset
from train.config import TrainConfig
from train.data import Batch, PairReader
from train.loss import clip_loss
from train.metrics import RunLog
from train.optim import learning_rate
from train.state import TrainState, begin_or_resume
from train.transforms import normalise


class TrainingError(RuntimeError):
    """The run cannot go on; what is kept stands in the message."""


def fit(config: TrainConfig, data: Path, run_dir: Path) -> Path:
    """Train to the end and return `run_dir`; a run that was begun there is taken up at its newest checkpoint.

    Raises ValueError for a dataset that is not finished or a run begun with another config or dataset, and
    TrainingError when the loss is no number any more.
    """
    dataset = open_dataset(data)
    state = begin_or_resume(config, dataset, run_dir)
    reader = PairReader(dataset, state.tokenizer, config)
    num_steps = config.num_epochs * reader.steps_per_epoch
    with RunLog(
        run_dir, first_step=state.step, num_steps=num_steps, batch_size=config.data.batch_size
    ) as log:
        for batch in reader.batches(state.step, num_steps):
            lr = learning_rate(batch.step, num_steps, config.optim)
            loss = train_step(state, batch, lr, config.optim.max_logit_scale)
            log.bad_pictures(state.step, batch.bad_pictures)
            is_last = state.step == num_steps
            if is_last or state.step % config.log_every_steps == 0:
                log.step(_measure(state, loss, lr, reader, run_dir))
            if is_last or state.step % config.checkpoint_every_steps == 0:
                state.save(run_dir, config.num_checkpoints_kept)
    return run_dir


def train_step(state: TrainState, batch: Batch, lr: float, max_logit_scale: float) -> Tensor:
    """Learn from one batch, advance `state` by a step, and return the loss, still on the device."""
    model, optimizer = state.model, state.optimizer
    for group in optimizer.param_groups:
        group["lr"] = lr
    images = normalise(batch.images, state.device)  # (B, 3, S, S)
    tokens = batch.tokens.to(state.device, non_blocking=True)  # (B, L)
    with state.autocast():
        image_features = model.encode_image(images)  # (B, embed_dim)
        text_features = model.encode_text(tokens)
    loss = clip_loss(image_features, text_features, model.logit_scale.exp())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]  # torch publishes no types for it
    optimizer.step()
    with torch.no_grad():
        # Clipped after the step and not in the forward pass, where it would stop the gradient for good.
        model.logit_scale.clamp_(0, math.log(max_logit_scale))
    state.step += 1
    return loss.detach()


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
