"""Labelled pictures to learn a classifier from, to choose with and to test on: their features and labels."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from manifests.places import Place
from train.evals.datasets import DATASETS, open_dataset
from train.evals.datasets.webdataset import tars_of
from train.evals.feature_files import Features
from train.evals.features import CACHE, features_of
from train.evals.labelled import open_labelled
from train.evals.metrics import Metric
from train.trained import TrainedModel

VALIDATION_SHARE = 0.2  # of the training pictures, where no validation split is given

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """N pictures."""

    features: Floats  # (N, width), before the projection
    labels: Ints  # (N,)
    keys: tuple[str, ...]

    def rows(self, chosen: NDArray[np.bool_] | Ints) -> "Split":
        """Return some of the pictures."""
        keys = tuple(np.array(self.keys, dtype=object)[chosen])
        return Split(features=self.features[chosen], labels=self.labels[chosen], keys=keys)

    def __add__(self, other: "Split") -> "Split":
        return Split(
            features=np.concatenate([self.features, other.features]),
            labels=np.concatenate([self.labels, other.labels]),
            keys=self.keys + other.keys,
        )


@dataclass(frozen=True, kw_only=True)
class Splits:
    """The pictures of a task."""

    train: Split
    validation: Split
    test: Split
    class_names: tuple[str, ...]
    metric: Metric
    bad_pictures: tuple[str, ...]
    validation_is_of_train: bool


@dataclass(frozen=True, kw_only=True)
class Learning:
    """The fields of every evaluation that learns a classifier from labelled pictures."""

    run: Path
    """Its newest checkpoint is evaluated."""
    data: Place
    """Training pictures, a folder per class or webdataset tars; with --dataset, the authors' files."""
    name: str
    """Of the result: RUN/evals/<eval>-<name>.json."""
    test_data: Place | None = None
    """Pictures to test on. Not with --dataset."""
    validation_data: Place | None = None
    """Pictures to choose the strength with; without them a fifth of the training pictures, by hash. Not with
    --dataset."""
    dataset: str | None = None
    """One of the 27 datasets of the paper by name, with its splits, classes and metric."""
    fold: int | None = None
    """Of the dataset's official folds, from 1; without it, the mean over all."""
    batch_size: int = 256

    def __post_init__(self) -> None:
        own = self.test_data, self.validation_data
        if self.dataset is not None and own != (None, None):
            raise ValueError("--dataset has its own splits. Next: leave out --test-data, --validation-data")
        if self.dataset is None and self.test_data is None:
            raise ValueError("nothing to test on. Next: give --test-data DIR, or --dataset NAME")

    def folds(self) -> list[int]:
        """Return the folds to learn: the one that is asked for, or all."""
        if self.fold is not None or self.dataset not in DATASETS or tars_of(self.data, "train"):
            return [self.fold or 1]
        return list(range(1, DATASETS[self.dataset].num_folds("train") + 1))

    def splits(self, trained: TrainedModel, fold: int = 1) -> Splits:
        """Return the features of all splits. Raises ValueError for what is not there."""
        return self._of_dataset(trained, fold) if self.dataset else self._of_folders(trained)

    def _of_dataset(self, trained: TrainedModel, fold: int) -> Splits:
        assert self.dataset is not None
        opened = {}
        for split in ("train", "val", "test"):
            published = DATASETS.get(self.dataset)
            if published is None or split in published.splits:
                several = published is not None and published.num_folds(split) > 1
                opened[split] = open_dataset(self.dataset, self.data, split, fold=fold if several else 1)
        found = {
            split: features_of(trained, pictures, self.run / CACHE, self.batch_size)
            for split, pictures in opened.items()
        }
        train = opened["train"]
        return _splits(found, train.class_names, train.metric)

    def _of_folders(self, trained: TrainedModel) -> Splits:
        places = {"train": self.data, "val": self.validation_data, "test": self.test_data}
        opened = {split: open_labelled(place, None) for split, place in places.items() if place is not None}
        names = opened["train"].class_names
        found = {}
        for split, pictures in opened.items():
            features = features_of(trained, pictures, self.run / CACHE, self.batch_size)
            found[split] = _renumbered(features, pictures.class_names, names, split)
        return _splits(found, names, Metric.ACCURACY)


def _renumbered(features: Features, own: Sequence[str], names: Sequence[str], split: str) -> Features:
    """Return a split with the numbers that the classes have in training: it may lack some of them."""
    unknown = [name for name in own if name not in names]
    if unknown:
        raise ValueError(f"the {split} pictures show {unknown[0]!r}, which is no class of training")
    numbers = np.array([names.index(name) for name in own])
    return Features(**vars(features) | {"labels": numbers[np.asarray(features.labels)]})


def _splits(found: dict[str, Features], class_names: Sequence[str], metric: Metric) -> Splits:
    parts = {
        name: Split(
            features=features.hidden,
            labels=np.asarray(features.labels),
            keys=tuple(features.keys.to_pylist()),
        )
        for name, features in found.items()
    }
    given = "val" in parts
    if not given:
        held = in_validation(parts["train"].keys)
        parts |= {"train": parts["train"].rows(~held), "val": parts["train"].rows(held)}
    return Splits(
        train=parts["train"],
        validation=parts["val"],
        test=parts["test"],
        class_names=tuple(class_names),
        metric=metric,
        bad_pictures=tuple(bad for features in found.values() for bad in features.bad_pictures),
        validation_is_of_train=not given,
    )


def in_validation(keys: Sequence[str]) -> NDArray[np.bool_]:
    """Return (N,) which training pictures are held out to choose with: a fifth, by a hash of their names."""
    return np.array([draw(0, key) < VALIDATION_SHARE for key in keys])


def draw(seed: int, key: str) -> float:
    """Return a number in [0, 1) that a picture always has, wherever its dataset lies."""
    name = "/".join(key.split("/")[-2:])
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]) / 2**64
