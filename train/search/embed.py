"""From the pictures of a unit to features, rows and frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from train.search.model import embed_dim_of
from train.search.parts import Row
from train.search.units import Picture, Unit
from train.trained import TrainedModel
from train.transforms import PICTURE_ERRORS, evaluation_pixels


@dataclass(kw_only=True)
class Embedded:
    """What a part is written from."""

    features: NDArray[np.float16]  # (N, embed_dim)
    rows: list[Row] = field(default_factory=list)
    frames: bytes = b""
    bad: list[str] = field(default_factory=list)  # pictures that could not be read, with the reason


def embedded(trained: TrainedModel, unit: Unit, batch_size: int) -> Embedded:
    """Return the features of a unit's pictures; those that cannot be read are named instead."""
    found = Embedded(features=np.empty((0, embed_dim_of(trained)), np.float16))
    frames, blocks = [], [found.features]
    decoded = _decoded(unit, trained.image_side_px, found.bad)
    while batch := list(islice(decoded, batch_size)):
        features = trained.image_features([pixels for pixels, _ in batch])
        blocks.append(features.numpy().astype(np.float16))
        found.rows += [picture.row for _, picture in batch]
        frames += [picture.frame for _, picture in batch]
    found.features, found.frames = np.concatenate(blocks), b"".join(frames)
    return found


def _decoded(unit: Unit, side_px: int, bad: list[str]) -> Iterator[tuple[NDArray[np.uint8], Picture]]:
    pictures = unit.pictures()
    while True:
        try:
            picture = next(pictures)
        except StopIteration:
            return
        except OSError as error:
            bad.append(f"{unit.name}: {error}")
            return
        try:
            yield evaluation_pixels(picture.data, side_px), picture
        except PICTURE_ERRORS as error:
            bad.append(f"{picture.row['key']}: {str(error).partition(' <')[0]}")
