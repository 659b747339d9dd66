"""Which pairs the page of an overlap shows: the nearest, and some beyond the threshold, in bands."""

from collections.abc import Iterator, Sequence

import numpy as np

from manifests.store import Dataset
from train.evals.classification import Classified
from train.evals.overlap.nearest import Nearest
from train.evals.overlap.page import MAX_PAIRS_PER_BAND, Band, ShownPair

# Beyond the threshold, so that the page shows what was left out.
MORE_BITS, MORE_COSINE = 6, 0.05
COSINE_STEP = 0.01


def hash_bands(near: Nearest | None, max_distance: int | None) -> Iterator[tuple[Band, Nearest]]:
    """Yield the pairs of each number of differing bits, where hashes were compared."""
    if near is None or max_distance is None:
        return
    for bits in range(max_distance + MORE_BITS + 1):
        rows = np.flatnonzero(near.measure == bits).tolist()
        if rows:
            yield Band(name=f"{bits} of 64 bits differ", counts=bits <= max_distance, rows=rows), near


def cosine_bands(near: Nearest | None, min_cosine: float | None) -> Iterator[tuple[Band, Nearest]]:
    """Yield the pairs of each hundredth of the cosine, where features were compared."""
    if near is None or min_cosine is None:
        return
    high = np.inf
    lows = np.arange(1, min_cosine - MORE_COSINE, -COSINE_STEP)[1:].round(6).tolist()
    for low in sorted({*lows, min_cosine}, reverse=True):
        rows = np.flatnonzero((near.measure >= low) & (near.measure < high)).tolist()
        if rows:
            name = f"cosine from {low:g}" if high == np.inf else f"cosine {low:g} to {high:g}"
            yield Band(name=name, counts=low >= min_cosine, rows=rows), near
        high = low


def shown_pairs(
    found: Classified, datasets: Sequence[Dataset], bands: Sequence[tuple[Band, Nearest]]
) -> list[list[ShownPair]]:
    """Return the pairs of each band that are shown, with their pictures."""
    shown = [(band.rows[:MAX_PAIRS_PER_BAND], near) for band, near in bands]
    pictures = _pictures_of(found, {found.keys[row] for rows, _ in shown for row in rows})
    wanted = {(int(near.dataset[row]), near.key[row]) for rows, near in shown for row in rows}
    of_training = _training_pairs(datasets, wanted)
    return [
        [
            ShownPair(
                place=found.keys[row],
                label=found.opened.class_names[found.labels[row]],
                picture=pictures[found.keys[row]],
                training=of_training[int(near.dataset[row]), near.key[row]],
            )
            for row in rows
        ]
        for rows, near in shown
    ]


def _pictures_of(found: Classified, wanted: set[str]) -> dict[str, bytes]:
    return {key: data for key, data, _ in found.opened.pictures if key in wanted} if wanted else {}


def _training_pairs(
    datasets: Sequence[Dataset], wanted: set[tuple[int, str]]
) -> dict[tuple[int, str], tuple[str, str, bytes]]:
    """Return caption, address and picture of training pairs, by the number of the dataset and the key."""
    found = {}
    for number, dataset in enumerate(datasets):
        keys = {key for of, key in wanted if of == number}
        for shard in dataset.manifest.shards if keys else ():
            index = dataset.read_index(shard, ["key", "offset", "num_bytes", "caption", "url"])
            for row in index.to_pylist():
                if row["key"] in keys:
                    picture = dataset.read_picture(shard, row)
                    found[number, row["key"]] = (row["caption"] or "", row["url"] or "", picture)
    return found
