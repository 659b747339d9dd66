"""The recipes for a machine without a GPU train as they stand, on as few pairs as there are here."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import make_dataset
from train.config import TrainConfig
from train.loop import fit
from train.models import MODELS
from train.recipes import RECIPES


def losses(config: TrainConfig, data: Path, run: Path) -> list[float]:
    """Return the loss of every step of a run."""
    fit(replace(config, device="cpu", log_every_steps=1), data, run)
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("name", ["demo", "cifar10", "cifar10_resnet"])
def test_a_recipe_for_cpus_learns_eight_pairs_by_heart(tmp_path: Path, name: str) -> None:
    config = RECIPES[name]()
    small = replace(
        config,
        data=replace(config.data, batch_size=8),
        optim=replace(config.optim, num_warmup_steps=2),
        tokenizer=replace(config.tokenizer, vocab_size=300),
        num_epochs=30,
    )
    found = losses(small, make_dataset(tmp_path / "data"), tmp_path / "run")
    assert found[0] > 1 and max(found[-5:]) < 0.1


@pytest.mark.parametrize("model", MODELS)
def test_the_smallest_of_every_model_trains(tmp_path: Path, model: str) -> None:
    data = make_dataset(tmp_path / "data", num_pairs=32, pairs_per_shard=32)
    found = losses(RECIPES[f"tiny_{model}"](), data, tmp_path / "run")
    assert len(found) == 2 and all(math.isfinite(loss) for loss in found)
