"""From the pictures of a unit to features, rows and frames; the pass over pictures is the evaluations'."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from train.evals.features import NoPicturesError, features_of
from train.search.model import embed_dim_of
from train.search.parts import Row
from train.search.unit import Unit
from train.trained import TrainedModel


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """What a part is written from."""

    features: NDArray[np.float32]  # (N, embed_dim)
    rows: list[Row]
    frames: bytes
    bad: list[str]  # pictures that could not be read, with the reason


@dataclass(frozen=True, kw_only=True)
class _Passed:
    """The pictures of a unit as a pass over pictures takes them; what it does not need is kept here."""

    unit: Unit
    rows: list[Row] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def __iter__(self) -> Iterator[tuple[str, bytes, None]]:
        """Yield pictures with their places among the rows as keys, until the file breaks off."""
        try:
            for picture in self.unit.pictures():
                self.rows.append(picture.row)
                self.frames.append(picture.frame)
                yield str(len(self.rows) - 1), picture.data, None
        except OSError as error:
            self.broken.append(f"{self.unit.name}: {error}")

    def identity(self) -> str:
        return f"{self.unit.place} {self.unit.name} {self.unit.identity}"


def embedded(trained: TrainedModel, unit: Unit, batch_size: int) -> Embedded:
    """Return the features of a unit's pictures; those that cannot be read are named instead."""
    passed = _Passed(unit=unit)
    try:
        found = features_of(trained, passed, cache=None, batch_size=batch_size)
        features, bad = found.image, found.bad_pictures
        places = [int(place) for place in found.keys.to_pylist()]
    except NoPicturesError as error:
        features, bad, places = np.empty((0, embed_dim_of(trained)), np.float32), error.bad_pictures, []
    named = [(int(place), why) for place, _, why in (line.partition(": ") for line in bad)]
    return Embedded(
        features=features,
        rows=[passed.rows[place] for place in places],
        frames=b"".join(passed.frames),
        bad=[f"{passed.rows[place]['key']}: {why}" for place, why in named] + passed.broken,
    )
