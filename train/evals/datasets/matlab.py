"""Datasets whose labels are published as MATLAB files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from train.evals.datasets.common import read_listed
from train.evals.datasets.published import Sample


def cars_classes(root: Path) -> list[str]:
    """Return the cars, as CLIP writes them: the year last, where it stands anyway."""
    return [str(name) for name in np.atleast_1d(_matlab(root / "devkit" / "cars_meta.mat")["class_names"])]


def read_cars(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split."""
    beside, in_devkit = (
        root / "cars_test_annos_withlabels.mat",
        root / "devkit/cars_test_annos_withlabels.mat",
    )
    tested = beside if beside.exists() else in_devkit
    path = root / "devkit" / "cars_train_annos.mat" if split == "train" else tested
    rows = np.atleast_1d(_matlab(path)["annotations"])
    yield from read_listed(
        (root / f"cars_{split}" / str(row["fname"]), int(row["class"]) - 1) for row in rows
    )


def read_flowers102(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split."""
    numbers = _matlab(root / "setid.mat")[{"train": "trnid", "val": "valid", "test": "tstid"}[split]]
    labels = _matlab(root / "imagelabels.mat")["labels"]
    yield from read_listed(
        (root / "jpg" / f"image_{number:05d}.jpg", int(labels[number - 1]) - 1)
        for number in np.sort(np.atleast_1d(numbers)).tolist()
    )


def _matlab(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        found: dict[str, Any] = loadmat(file, squeeze_me=True)
    return found
