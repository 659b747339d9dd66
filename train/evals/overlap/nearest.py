"""For every picture of an evaluation the nearest of the training pictures, by perceptual hash or by features.

Training pictures are read shard by shard: memory grows with the evaluation alone.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from manifests.store import Dataset

NUM_COMPARED = 1 << 24  # hashes or cosines at a time


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The nearest training picture of each of N pictures."""

    measure: NDArray[np.float32]  # (N,) differing bits, or cosine
    dataset: NDArray[np.int32]  # (N,) the number of its dataset; -1 where there is none
    shard: NDArray[np.int32]  # (N,) the number of its shard in the manifest
    row: NDArray[np.int64]  # (N,) its row in the shard's index

    @classmethod
    def none(cls, num_pictures: int, measure: float) -> "Nearest":
        """Return N pictures without any neighbour yet."""
        return cls(
            measure=np.full(num_pictures, measure, np.float32),
            dataset=np.full(num_pictures, -1, np.int32),
            shard=np.full(num_pictures, -1, np.int32),
            row=np.full(num_pictures, -1, np.int64),
        )

    def take(
        self,
        better: NDArray[np.bool_],
        measure: NDArray[np.float32],
        place: tuple[int, int],
        row: NDArray[np.int64],
    ) -> None:
        """Put the neighbours of a shard where they are better than what is known."""
        self.measure[better], self.row[better] = measure[better], row[better]
        self.dataset[better], self.shard[better] = place


def hash_of(data: bytes) -> int:
    """Return the 64-bit perceptual hash of a picture's pixels, as the index of a dataset has it.

    Raises one of `train.transforms.PICTURE_ERRORS`.
    """
    with Image.open(io.BytesIO(data)) as image:
        bits = imagehash.phash(image.convert("RGB")).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def nearest_by_hash(hashes: NDArray[np.uint64], datasets: Iterable[Dataset]) -> Nearest:
    """Return for each hash (N,) the training picture that differs from it in the fewest of 64 bits."""
    found = Nearest.none(len(hashes), 65)
    for place, own in _hashes_of(datasets):
        if not len(own):
            continue
        distance, row = np.empty(len(hashes), np.float32), np.empty(len(hashes), np.int64)
        step = max(1, NUM_COMPARED // len(own))
        for start in range(0, len(hashes), step):
            bits = np.bitwise_count(hashes[start : start + step, None] ^ own[None])  # (step, M) uint8
            row[start : start + step] = bits.argmin(axis=1)
            distance[start : start + step] = bits.min(axis=1)
        found.take(distance < found.measure, distance, place, row)
    return found


def nearest_by_features(
    features: NDArray[np.float32], shards: Iterable[tuple[tuple[int, int], NDArray[np.float32]]]
) -> Nearest:
    """Return for each feature (N, D) of unit length the training picture of the highest cosine.

    `shards` yields (number of the dataset, number of the shard) with the shard's features (M, D).
    """
    found = Nearest.none(len(features), -2)
    for place, own in shards:
        if not len(own):
            continue
        cosine, row = np.empty(len(features), np.float32), np.empty(len(features), np.int64)
        step = max(1, NUM_COMPARED // len(own))
        for start in range(0, len(features), step):
            product = features[start : start + step] @ own.T
            row[start : start + step] = product.argmax(axis=1)
            cosine[start : start + step] = product.max(axis=1)
        found.take(cosine > found.measure, cosine, place, row)
    return found


def _hashes_of(datasets: Iterable[Dataset]) -> Iterator[tuple[tuple[int, int], NDArray[np.uint64]]]:
    for number, dataset in enumerate(datasets):
        for place, shard in enumerate(dataset.manifest.shards):
            yield (number, place), dataset.read_index(shard, ["phash"])["phash"].to_numpy()
