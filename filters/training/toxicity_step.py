"""One step of a training, in a process of its own: `python -m filters.training.toxicity_step fit FOLDER`."""

import sys
from pathlib import Path

from fasttext import FastText

from filters.training.toxicity import NUM_FEATURES, TRAINING


def fit(folder: Path) -> None:
    """lines.txt -> model.bin."""
    lines = str(folder / "lines.txt")
    model = FastText.train_supervised(input=lines, thread=1, seed=1, verbose=0, **TRAINING)
    model.save_model(str(folder / "model.bin"))


def quantise(folder: Path) -> None:
    """lines.txt, model.bin -> model.ftz, of the features that weigh most."""
    model = FastText._FastText(model_path=str(folder / "model.bin"))
    lines = str(folder / "lines.txt")
    model.quantize(input=lines, cutoff=NUM_FEATURES, qnorm=True, thread=1, verbose=0)
    model.save_model(str(folder / "model.ftz"))


if __name__ == "__main__":
    {"fit": fit, "quantise": quantise}[sys.argv[1]](Path(sys.argv[2]))
