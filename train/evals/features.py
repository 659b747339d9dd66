"""One pass over pictures, whose features are kept: `features_of` is what evaluations of pictures begin with.

    features = features_of(trained, pictures, cache=run / CACHE)
    features.image, features.hidden, features.labels, features.keys, features.bad_pictures

They are kept once for each (checkpoint, pictures, preprocessing), in float32: what is kept is then to the bit
what a pass gives, and a million pictures of ViT-B/32 take 5 GB. A pass that is cut short goes on from its
last whole part. Several processes, if a launcher started them, each compute every n-th part; the folder
must then be one that all see.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from train.distributed import gather_values, is_first, num_processes, rank, wait_for_all
from train.evals.feature_files import (
    NO_LABEL,
    Features,
    is_whole,
    join_parts,
    joined,
    part_path,
    read_features,
    write_part,
)
from train.evals.pictures import Pictures
from train.trained import TrainedModel
from train.transforms import PICTURE_ERRORS, evaluation_pixels

__all__ = ["CACHE", "Features", "cache_key", "features_of"]

CACHE = "features"  # the folder of a run
# A part ends with whichever comes first, so that neither many pictures nor large ones fill the memory.
MAX_PART_PICTURES = 1024
MAX_PART_BYTES = 64 << 20
PREPROCESSING = "centre square as OpenAI's CLIP cuts it, float32"  # another text, other features
MAX_THREADS = 16

Sample = tuple[str, bytes, int | None]
Decoded = NDArray[np.uint8] | str  # pixels (S, S, 3), or why there are none


class NoPicturesError(ValueError):
    """None of the pictures could be read; `bad_pictures` says why."""

    def __init__(self, bad_pictures: tuple[str, ...]) -> None:
        self.bad_pictures = bad_pictures
        reason = bad_pictures[0] if bad_pictures else "there are none"
        super().__init__(f"none of the pictures could be read. Next: check {reason}")


def features_of(
    trained: TrainedModel, pictures: Pictures, cache: Path | None, batch_size: int = 256
) -> Features:
    """Return the features of all pictures that can be read, from the cache or computed and put there.

    Args:
        trained: the model; one that is of no file, such as one in training, has nothing kept.
        pictures: of a dataset, a folder or an evaluation set; see `train.evals.pictures`.
        cache: a folder for many such results, RUN/features (`CACHE`); None: keep nothing.
        batch_size: pictures the model takes at once.

    All processes must call it, and all get all features. Raises NoPicturesError where none can be read.
    """
    if cache is None or trained.fingerprint is None:
        features = _in_memory(trained, pictures, batch_size)
    else:
        features = _kept(trained, pictures, cache, batch_size)
    if not len(features):
        raise NoPicturesError(features.bad_pictures)
    return features


def cache_key(trained: TrainedModel, pictures: Pictures) -> dict[str, str]:
    """Return what a result is kept under: what it was computed from, and a hash of that."""
    fields = {
        "checkpoint": str(trained.fingerprint),
        "pictures": pictures.identity(),
        "preprocessing": f"{PREPROCESSING}, {trained.image_side_px} px",
        "parts": f"{MAX_PART_PICTURES} pictures, {MAX_PART_BYTES} bytes",
    }
    return fields | {"key": hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:32]}


def _in_memory(trained: TrainedModel, pictures: Pictures, batch_size: int) -> Features:
    own = dict(_computed(trained, _numbered(pictures), batch_size))
    of_all = {number: part for found in gather_values(own) for number, part in found.items()}
    return joined([of_all[number] for number in sorted(of_all)])


def _kept(trained: TrainedModel, pictures: Pictures, cache: Path, batch_size: int) -> Features:
    key = cache_key(trained, pictures)
    folder = cache / key["key"]
    if not all(gather_values(is_whole(folder))):  # they may not all see a new file at once
        num_parts = 0

        def missing() -> Iterator[tuple[int, list[Sample]]]:
            nonlocal num_parts
            for number, samples in _numbered(pictures):
                num_parts = number + 1
                if not part_path(folder, number).is_file():
                    yield number, samples

        for number, part in _computed(trained, missing(), batch_size):
            write_part(folder, number, part)
        wait_for_all()
        if is_first():
            join_parts(folder, num_parts, key)
        wait_for_all()
    return read_features(folder)


def _numbered(pictures: Iterable[Sample]) -> Iterator[tuple[int, list[Sample]]]:
    """Yield the parts in which the pictures are taken, with their numbers; always the same ones."""
    number, samples, num_bytes = 0, list[Sample](), 0
    for sample in pictures:
        samples.append(sample)
        num_bytes += len(sample[1])
        if len(samples) == MAX_PART_PICTURES or num_bytes >= MAX_PART_BYTES:
            yield number, samples
            number, samples, num_bytes = number + 1, [], 0
    if samples or not number:
        yield number, samples


def _computed(
    trained: TrainedModel, parts: Iterable[tuple[int, list[Sample]]], batch_size: int
) -> Iterator[tuple[int, Features]]:
    """Yield this process's parts; pictures are decoded by threads, those of the next part too."""
    read = partial(_pixels, side_px=trained.image_side_px)
    mine = ((number, samples) for number, samples in parts if number % num_processes() == rank())
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1), thread_name_prefix="decode") as threads:
        begun = ((*part, threads.map(read, [data for _, data, _ in part[1]])) for part in mine)
        ahead = next(begun, None)
        while ahead is not None:
            (number, samples, decoded), ahead = ahead, next(begun, None)
            yield number, _features(trained, samples, decoded, batch_size)


def _features(
    trained: TrainedModel, samples: list[Sample], decoded: Iterator[Decoded], batch_size: int
) -> Features:
    """Return the features of a part."""
    image, hidden, good, bad = [], [], list[Sample](), list[str]()
    pairs = zip(samples, decoded, strict=True)
    while batch := list(islice(pairs, batch_size)):
        bad += [f"{sample[0]}: {found}" for sample, found in batch if isinstance(found, str)]
        readable = [(sample, found) for sample, found in batch if not isinstance(found, str)]
        if readable:
            both = trained.both_features([found for _, found in readable])
            image.append(both[0].numpy())
            hidden.append(both[1].numpy())
            good += [sample for sample, _ in readable]
    return Features(
        image=np.concatenate(image) if image else np.empty((0, 0), np.float32),
        hidden=np.concatenate(hidden) if hidden else np.empty((0, 0), np.float32),
        labels=np.array([NO_LABEL if label is None else label for _, _, label in good], np.int64),
        keys=pa.chunked_array([pa.array([key for key, _, _ in good], pa.string())]),
        bad_pictures=tuple(bad),
    )


def _pixels(data: bytes, side_px: int) -> Decoded:
    try:
        return evaluation_pixels(data, side_px)
    except PICTURE_ERRORS as error:
        return str(error).partition(" <")[0]  # Pillow goes on with an address in memory
