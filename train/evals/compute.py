"""What a run has cost so far, to stand beside published figures."""

import json
from pathlib import Path

from train.flops import SampleFlops
from train.models import model_from_json


def compute_of(run: Path, step: int) -> dict[str, float] | None:
    """Return the pairs a run has seen after `step` steps, in billions, and their exaflop.

    Counted as for the published rows: whole captions, forward and backward. None where that is not known: for
    an imported model, and for a run that began with others' weights.
    """
    path = run / "config.json"
    if not path.exists():
        return None
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("init") is not None or "batch_size" not in config.get("data", {}):
        return None
    model = model_from_json(config["model"])
    num_pairs = step * config["data"]["batch_size"]
    flops = num_pairs * SampleFlops(model).training(model.context_length)
    return {"billion_pairs_seen": num_pairs / 1e9, "train_exaflop": flops / 1e18}
