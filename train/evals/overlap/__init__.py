"""Overlap (CLIP, sec. 5): which pictures of an evaluation were in training, and what that did to accuracy."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.places import Place
from manifests.store import Dataset, write_bytes
from train.evals.classification import Classification, Classified
from train.evals.features import CACHE, features_of
from train.evals.metrics import Metric
from train.evals.overlap.nearest import Nearest, hash_of, nearest_by_features, nearest_by_hash
from train.evals.overlap.page import pairs_page
from train.evals.overlap.shown import cosine_bands, hash_bands, shown_pairs
from train.evals.overlap.statistics import split_accuracies
from train.evals.pictures import PairPictures
from train.plain_tars import open_pairs
from train.trained import TrainedModel, load_trained


@dataclass(frozen=True, kw_only=True)
class Overlap(Classification):
    """Find pictures with a near-duplicate in training; accuracy on All, Clean and Overlap, and a test.

    Example: python -m train eval overlap --run runs/cifar10 --data data/cifar10/test --name cifar10 \\
        --training runs/cifar10-dataset

    RUN/evals/overlap-<name>.html shows pairs by how near they are: look at it, and choose the threshold.
    """

    training: tuple[Place, ...]
    """The datasets that the run learnt from."""
    max_distance: int | None = 4
    """Pictures of which at most so many of 64 bits of the perceptual hash differ are the same."""
    min_cosine: float | None = None
    """Pictures whose features are at least so near are the same, too."""
    detector: Path | None = None
    """The run whose features are compared; without it, the one that is evaluated."""

    def __post_init__(self) -> None:
        if not self.training:
            raise ValueError("no training data. Next: --training DIR, the datasets that the run learnt from")
        if self.max_distance is None and self.min_cosine is None:
            raise ValueError("neither max_distance nor min_cosine is given. Next: --max-distance 4")
        if not 0 <= (self.max_distance or 0) <= 32:
            raise ValueError(f"max_distance is {self.max_distance}, must be 0 to 32. Next: --max-distance 4")
        if not 0 < (self.min_cosine or 1.0) <= 1:
            raise ValueError(f"min_cosine is {self.min_cosine}, must be in (0, 1]. Next: --min-cosine 0.95")

    def evaluate(self, trained: TrainedModel) -> dict[str, Any]:
        """Return the contents of the result file, and write the page of pairs beside it."""
        datasets = [open_pairs(place) for place in self.training]
        found = self.classified(trained, self.folds()[0])
        if found.opened.metric is Metric.MAP_11:
            raise ValueError(
                f"{self.data}: several classes a picture, and no one accuracy. Next: other --data"
            )
        by_hash, by_features = self._nearest(trained, found, datasets)
        overlapping = np.zeros(len(found.labels), np.bool_)
        if by_hash and self.max_distance is not None:
            overlapping |= by_hash.measure <= self.max_distance
        if by_features and self.min_cosine is not None:
            overlapping |= by_features.measure >= self.min_cosine
        page = self.run / "evals" / f"overlap-{self.name}.html"
        bands = [*hash_bands(by_hash, self.max_distance), *cosine_bands(by_features, self.min_cosine)]
        shown = shown_pairs(found, datasets, bands)
        text = pairs_page(self.name, self.threshold, [band for band, _ in bands], shown)
        write_bytes(page, text.encode())
        correct = found.logits.argmax(axis=1) == found.labels
        return {
            "data": str(self.data),
            "training": [str(place) for place in self.training],
            "threshold": self.threshold,
            **split_accuracies(correct, overlapping),
            "pairs": list(_pairs(found, overlapping, by_hash, by_features)),
            "page": page.name,
            "bad_pictures": found.bad_pictures,
        }

    @property
    def threshold(self) -> str:
        """What counts as the same picture, in words."""
        rules = []
        if self.max_distance is not None:
            rules.append(f"at most {self.max_distance} of 64 bits of the perceptual hash differ")
        if self.min_cosine is not None:
            rules.append(f"cosine of the features at least {self.min_cosine:g}")
        return ", or ".join(rules)

    def summary(self, result: dict[str, Any]) -> str:
        """Return contamination, gain and p-value as one line."""
        if not result["num_overlap"]:
            return f"{self.name}: no overlap in {result['num_pictures']} pictures"
        gain = (
            "no clean picture"
            if result["gain"] is None
            else f"All - Clean {100 * result['gain']:+.2f} points"
        )
        p_value = "" if result["p_value"] is None else f", p {result['p_value']:.2g}"
        return (
            f"{self.name}: {result['num_overlap']} of {result['num_pictures']} pictures overlap "
            f"({result['contamination']:.2%}), {gain}{p_value}; pairs: {result['page']}"
        )

    def _nearest(
        self, trained: TrainedModel, found: Classified, datasets: list[Dataset]
    ) -> tuple[Nearest | None, Nearest | None]:
        by_hash = by_features = None
        if self.max_distance is not None:
            by_hash = nearest_by_hash(_hashes(found), datasets)
        if self.min_cosine is not None:
            run = self.detector or self.run
            detector = load_trained(run) if self.detector else trained
            own = self.features(detector, found.opened)
            places = {key: row for row, key in enumerate(own.keys.to_pylist())}
            features = np.asarray(own.image)[[places[key] for key in found.keys]]
            of_training = [
                features_of(detector, PairPictures(dataset), run / CACHE, self.batch_size)
                for dataset in datasets
            ]
            by_features = nearest_by_features(features, of_training)
        return by_hash, by_features


def _hashes(found: Classified) -> NDArray[np.uint64]:
    """Return (N,) the perceptual hashes of the pictures that were classified."""
    wanted = set(found.keys)
    of_key = {key: hash_of(data) for key, data, _ in found.opened.pictures if key in wanted}
    return np.array([of_key[key] for key in found.keys], np.uint64)


def _pairs(
    found: Classified, overlapping: NDArray[np.bool_], by_hash: Nearest | None, by_features: Nearest | None
) -> Iterator[dict[str, Any]]:
    """Yield every overlapping picture with what it overlaps with."""
    for row in np.flatnonzero(overlapping).tolist():
        pair: dict[str, Any] = {"picture": found.keys[row]}
        if by_hash:
            pair |= {"by_hash": by_hash.key[row], "distance": int(by_hash.measure[row])}
        if by_features:
            pair |= {"by_features": by_features.key[row], "cosine": round(float(by_features.measure[row]), 6)}
        yield pair
