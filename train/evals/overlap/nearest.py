"""For every picture of an evaluation the nearest of the training pictures, by perceptual hash or by features.

Training pictures are read in parts: memory grows with the evaluation alone.
"""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import imagehash
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from manifests.store import Dataset
from train.evals.feature_files import Features

NUM_COMPARED = 1 << 24  # hashes or cosines at a time
NUM_ROWS = 1 << 16  # of features on the disk


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """The nearest training picture of each of N pictures."""

    measure: NDArray[np.float32]  # (N,) differing bits, or cosine
    dataset: NDArray[np.int32]  # (N,) the number of its dataset; -1 where there is none
    key: NDArray[np.object_]  # (N,) of its pair

    @classmethod
    def none(cls, num_pictures: int, measure: float) -> "Nearest":
        """Return N pictures without any neighbour yet."""
        return cls(
            measure=np.full(num_pictures, measure, np.float32),
            dataset=np.full(num_pictures, -1, np.int32),
            key=np.full(num_pictures, "", np.object_),
        )

    def take(
        self,
        better: NDArray[np.bool_],
        measure: NDArray[np.float32],
        row: NDArray[np.int64],
        dataset: int,
        keys: pa.ChunkedArray,
    ) -> None:
        """Put neighbours where they are better than what is known; `row` is of `keys`."""
        self.measure[better], self.dataset[better] = measure[better], dataset
        self.key[better] = keys.take(pa.array(row[better])).to_pylist()


def hash_of(data: bytes) -> int:
    """Return the 64-bit perceptual hash of a picture's pixels, as the index of a dataset has it.

    Raises one of `train.transforms.PICTURE_ERRORS`.
    """
    with Image.open(io.BytesIO(data)) as image:
        bits = imagehash.phash(image.convert("RGB")).hash
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def nearest_by_hash(hashes: NDArray[np.uint64], datasets: Sequence[Dataset]) -> Nearest:
    """Return for each hash (N,) the training picture that differs from it in the fewest of 64 bits."""
    found = Nearest.none(len(hashes), 65)
    for number, dataset in enumerate(datasets):
        for shard in dataset.manifest.shards:
            rows = dataset.read_index(shard, ["phash", "key"])
            own = rows["phash"].to_numpy()
            if len(own):
                distance, row = _best(len(hashes), len(own), partial(_fewest_bits, hashes, own))
                found.take(distance < found.measure, distance, row, number, rows["key"])
    return found


def nearest_by_features(features: NDArray[np.float32], trainings: Sequence[Features]) -> Nearest:
    """Return for each feature (N, D) of unit length the training picture of the highest cosine.

    `trainings` are the features of the datasets, in their order; they may be on the disk.
    """
    found = Nearest.none(len(features), -2)
    for number, training in enumerate(trainings):
        for start in range(0, len(training), NUM_ROWS):
            own = np.asarray(training.image[start : start + NUM_ROWS])
            cosine, row = _best(len(features), len(own), partial(_highest_cosine, features, own))
            found.take(cosine > found.measure, cosine, row + start, number, training.keys)
    return found


def _best(
    num_pictures: int,
    num_compared: int,
    best_of: Callable[[slice], tuple[NDArray[np.float32], NDArray[np.int64]]],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the best measure of every picture and its row, a bounded number of pairs at a time."""
    measure, row = np.empty(num_pictures, np.float32), np.empty(num_pictures, np.int64)
    step = max(1, NUM_COMPARED // num_compared)
    for start in range(0, num_pictures, step):
        some = slice(start, start + step)
        measure[some], row[some] = best_of(some)
    return measure, row


def _fewest_bits(
    hashes: NDArray[np.uint64], own: NDArray[np.uint64], some: slice
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    bits = np.bitwise_count(hashes[some, None] ^ own[None])  # (step, M) uint8
    return bits.min(axis=1).astype(np.float32), bits.argmin(axis=1)


def _highest_cosine(
    features: NDArray[np.float32], own: NDArray[np.float32], some: slice
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    cosines = features[some] @ own.T  # (step, M)
    return cosines.max(axis=1), cosines.argmax(axis=1)
