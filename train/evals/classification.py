"""Pictures sorted into classes by captions alone: what several evaluations share."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from manifests.places import Place
from train.evals.captions import class_features, read_templates, with_synonyms
from train.evals.datasets import DATASETS, open_dataset
from train.evals.datasets.webdataset import tars_of
from train.evals.feature_files import Features
from train.evals.features import CACHE, features_of
from train.evals.labelled import open_labelled, read_names
from train.evals.metrics import Metric, check_finite
from train.trained import TrainedModel

Synonyms = tuple[tuple[str, ...], ...]


class Labelled(Protocol):
    """A folder of labelled pictures, tars of them, or a split of a dataset of the registry."""

    def __iter__(self) -> Iterator[tuple[str, bytes, int]]: ...

    def identity(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class Opened:
    """Labelled pictures, what their classes are called, and how they are measured."""

    pictures: Labelled
    synonyms: Synonyms
    templates: list[str]
    metric: Metric

    @property
    def class_names(self) -> list[str]:
        """The first name of each class."""
        return [names[0] for names in self.synonyms]


@dataclass(frozen=True, kw_only=True)
class Classified:
    """N pictures with the logits of C classes, the logit scale times cosines."""

    opened: Opened  # with the classes that are left
    labels: NDArray[np.int64]  # (N,)
    logits: NDArray[np.float32]  # (N, C)
    keys: list[str]
    bad_pictures: list[str]

    def probabilities(self) -> NDArray[np.float64]:
        """Return (N, C)."""
        weights = np.exp(self.logits.astype(np.float64) - self.logits.max(axis=1, keepdims=True))
        return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@dataclass(frozen=True, kw_only=True)
class Classification:
    """The fields of every evaluation that sorts labelled pictures into classes by captions."""

    run: Path
    """Its newest checkpoint is evaluated."""
    data: Place
    """A folder per class, or webdataset tars with classnames.txt; with --dataset, the authors' files."""
    name: str
    """Of the result: RUN/evals/<eval>-<name>.json."""
    dataset: str | None = None
    """One of the 27 datasets of the paper by name, with its split, classes, templates and metric."""
    split: str = "test"
    """Of the dataset: train, test, and where its authors have one, val."""
    fold: int | None = None
    """Of the dataset's official folds, from 1; without it, the mean over all."""
    templates: str | None = None
    """Of train/evals/prompts, or a file: a JSON list, or one template per line, {} the class. Without it,
    the dataset's, or "simple"."""
    prompts: Path | None = None
    """A copy of data/prompts.md of CLIP's repository: the paper's own class names and templates."""
    classes: Path | None = None
    """Other class names: one per line or a JSON list in the order of the classes; without --dataset also
    JSON by folder. a|b are synonyms."""
    class_names: tuple[str, ...] = ()
    """The same on the command line."""
    only_classes: Path | None = None
    """One name per line: pictures of other classes are left out, and no picture is taken for one."""
    batch_size: int = 256

    def opened(self, fold: int = 1) -> Opened:
        """Return the pictures with their classes. Raises ValueError for anything that is not there."""
        if self.dataset is not None:
            given = list(self.class_names) or (_names_in(self.classes) if self.classes else None)
            found = open_dataset(
                self.dataset, self.data, self.split, fold=fold, prompts=self.prompts, class_names=given
            )
            own = read_templates(self.templates) if self.templates else list(found.templates)
            named = with_synonyms(given) if given else found.synonyms
            return Opened(pictures=found, synonyms=named, templates=own, metric=found.metric)
        labelled = open_labelled(self.data, self.classes)
        names = self.class_names or labelled.class_names
        if len(names) != len(labelled.class_names):
            raise ValueError(
                f"{len(names)} class names for {len(labelled.class_names)} classes of {self.data}"
            )
        return Opened(
            pictures=labelled,
            synonyms=with_synonyms(names),
            templates=read_templates(self.templates or "simple"),
            metric=Metric.ACCURACY,
        )

    def folds(self) -> list[int]:
        """Return the folds to evaluate: the one that is asked for, or all of the split."""
        if self.dataset is None or self.fold is not None:
            return [self.fold or 1]
        known = DATASETS.get(self.dataset)
        if known is None or tars_of(self.data, self.split):  # tars hold one fold, whichever that is
            return [1]
        return list(range(1, known.num_folds(self.split) + 1))

    def features(self, trained: TrainedModel, opened: Opened) -> Features:
        """Return the features of the pictures, from the run's cache if they are there."""
        features = features_of(trained, opened.pictures, self.run / CACHE, self.batch_size)
        check_finite(np.asarray(features.image), "image features")
        return features

    def classified(self, trained: TrainedModel, fold: int = 1) -> Classified:
        """Return the logits of all pictures that can be read."""
        opened = self.opened(fold)
        features = self.features(trained, opened)
        texts = class_features(trained, opened.synonyms, opened.templates)
        check_finite(texts.numpy(), "text features")
        logits = (trained.logit_scale() * torch.tensor(features.image) @ texts.t()).numpy()
        labels = np.array(features.labels)
        found = Classified(
            opened=opened,
            labels=labels,
            logits=logits,
            keys=features.keys.to_pylist(),
            bad_pictures=list(features.bad_pictures),
        )
        return found if self.only_classes is None else subset(found, read_names(self.only_classes))


def _names_in(path: Path) -> list[str]:
    """Return the names of a file. Raises ValueError for JSON that is no list of names."""
    if path.suffix != ".json":
        return read_names(path)
    names = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path} is no JSON list of names. Next: one name for each class, in their order")
    return list(names)


def subset(found: Classified, names: list[str]) -> Classified:
    """Return the pictures of some classes, with the logits of those classes alone.

    This is how a shift that shows some of ImageNet's classes is compared with ImageNet itself. Raises
    ValueError for a name of no class, and for a multi-label dataset.
    """
    known = found.opened.class_names
    wrong = [name for name in names if name not in known]
    if wrong or found.opened.metric is Metric.MAP_11:
        raise ValueError(
            f"{wrong or 'several classes a picture'}: no subset of the classes. Next: correct it"
        )
    places = sorted(known.index(name) for name in set(names))
    rows = np.flatnonzero(np.isin(found.labels, places))
    opened = Opened(
        pictures=found.opened.pictures,
        synonyms=tuple(found.opened.synonyms[place] for place in places),
        templates=found.opened.templates,
        metric=found.opened.metric,
    )
    return Classified(
        opened=opened,
        labels=np.searchsorted(places, found.labels[rows]).astype(np.int64),
        logits=found.logits[rows][:, places],
        keys=[found.keys[row] for row in rows.tolist()],
        bad_pictures=found.bad_pictures,
    )
