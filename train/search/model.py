"""The model of an index: a copy of the checkpoint without what only training needs, so that an index is whole
by itself, also after its run has gone on.
"""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from manifests.storage import remove_folder
from train.checkpoint import Checkpoint, load_checkpoint
from train.checkpoint_writer import save_checkpoint
from train.trained import TrainedModel, load_trained

FOLDER = "model"


def keep_model(run: Path, index: Path) -> None:
    """Put a run's newest checkpoint into the index, as `train import` would write it, and no other."""
    remove_folder(index / FOLDER)
    checkpoint = _checkpoint_of(run)
    slim = replace(checkpoint, model=checkpoint.weights(), ema={}, optimizer={})
    save_checkpoint(index / FOLDER, slim, num_kept=1)


def model_of(index: Path) -> TrainedModel:
    """Return the model of an index. Raises ValueError where there is none."""
    if not (index / FOLDER).is_dir():
        raise ValueError(
            f"{index} holds no index. Next: python -m train search index --run RUN --data DATA --out {index}"
        )
    return load_trained(index / FOLDER)


def kept_fingerprint(index: Path) -> str | None:
    """Return the fingerprint of the model that an index has, None where it has none yet."""
    return fingerprint(index / FOLDER) if load_checkpoint(index / FOLDER) else None


def fingerprint(run: Path) -> str:
    """Return 64 hex digits that two runs share when they give the same features: of weights, tokenizer and
    model, whatever else their checkpoints hold."""
    checkpoint = _checkpoint_of(run)
    digest = hashlib.sha256(json.dumps(checkpoint.config["model"], sort_keys=True).encode())
    digest.update(f"{checkpoint.tokenizer_kind}\n{checkpoint.tokenizer_state}\n".encode())
    for name, tensor in sorted(checkpoint.weights().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().numpy().data)
    return digest.hexdigest()


def embed_dim_of(trained: TrainedModel) -> int:
    """Return how many numbers a feature of a model has."""
    return trained.text_features([""]).shape[1]


def _checkpoint_of(run: Path) -> Checkpoint:
    checkpoint = load_checkpoint(run)
    if checkpoint is None:
        raise ValueError(f"{run} holds no checkpoint. Next: python -m train fit demo --data DIR --run {run}")
    return checkpoint
