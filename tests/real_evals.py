"""Part three of the proof on real data: every evaluation of a model trained here, by one command."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.real_web import DATA, read_pairs

SUITE = """\
[[eval]]
kind = "zero_shot"
name = "cifar10"
data = "{cifar}/test"
templates = "photo"

[[eval]]
kind = "calibration"
name = "cifar10"
data = "{cifar}/test"
templates = "photo"

[[eval]]
kind = "probe"
name = "cifar10"
data = "{cifar}/train"
test_data = "{cifar}/test"

[[eval]]
kind = "few_shot"
name = "cifar10"
data = "{cifar}/train"
test_data = "{cifar}/test"
shots = [1, 2, 4, 8, 16]

[[eval]]
kind = "overlap"
name = "cifar10"
data = "{cifar}/test"
templates = "photo"
training = ["{training}"]

[[eval]]
kind = "zero_shot"
name = "mnist"
dataset = "mnist"
data = "{mnist}"

[[eval]]
kind = "probe"
name = "mnist"
dataset = "mnist"
data = "{mnist}"

[[eval]]
kind = "zero_shot"
name = "grocery"
data = "{grocery}/test"
templates = "photo"

[[eval]]
kind = "probe"
name = "grocery"
data = "{grocery}/train"
test_data = "{grocery}/test"

[[eval]]
kind = "retrieval"
name = "textbook"
data = "{web}"
share = 0.1
prompt_prefix = "a photo of"
"""
MNIST_FILES = {
    "train-first10k-images-idx3-ubyte.gz": "train-images-idx3-ubyte.gz",
    "train-first10k-labels-idx1-ubyte.gz": "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz": "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz": "t10k-labels-idx1-ubyte.gz",
}


def evaluate_all(root: Path) -> dict[str, Any]:
    """Evaluate the CIFAR-10 model of part two on four real datasets and return the figures of its report."""
    grocery, mnist = _grocery(root / "grocery"), _mnist(root / "mnist")
    suite = root / "suite.toml"
    suite.write_text(
        SUITE.format(
            cifar=root / "cifar10",
            training=root / "cifar10-dataset",
            mnist=mnist,
            grocery=grocery,
            web=root / "web",
        )
    )
    run = root / "cifar10-run"
    command = [sys.executable, "-m", "train", "eval", "all", "--run", str(run), "--suite", str(suite)]
    subprocess.run(command, check=True)
    figures = json.loads((run / "evals.json").read_text())["figures"]
    return {f"{figure['kind']} {figure['evaluation']}": round(figure["value"], 4) for figure in figures}


def _grocery(root: Path) -> Path:
    """Lay the groceries out as ROOT/<split>/<class>/*.jpg, in the official splits; return ROOT."""
    for row in read_pairs("grocery"):
        if row["split"] in ("train", "test"):
            place = root / row["split"] / row["label"] / row["file"].name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(row["file"], place)
    return root


def _mnist(root: Path) -> Path:
    """Lay MNIST out under its published names, with the first 10,000 training pictures as all of them."""
    root.mkdir(parents=True, exist_ok=True)
    for ours, published in MNIST_FILES.items():
        shutil.copyfile(DATA / "eval" / "mnist" / ours, root / published)
    return root
