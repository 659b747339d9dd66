"""The order in which an epoch goes through a dataset: a function of (seed, epoch) alone.

Shards are put into an order, and that is cut into windows of whole shards; the pairs of a window are shuffled
together, and windows follow one another. A dataset of one window is shuffled as a whole.

Several datasets take turns, as evenly as whole pairs allow: after any number of places each has had its
share.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Window:
    """Shards whose pairs are in memory, and shuffled, together."""

    first: int  # place in the epoch of its first pair
    num_pairs: int
    shards: tuple[int, ...]  # ascending


def windows(sizes: Sequence[int], seed: int, epoch: int, max_pairs: int) -> list[Window]:
    """Return the windows of an epoch, in order, of at most `max_pairs` pairs or one shard; `sizes` are the
    numbers of pairs of all shards.

    >>> [window.shards for window in windows([5, 5, 5], seed=0, epoch=0, max_pairs=10)]
    [(0, 2), (1,)]
    """
    groups: list[list[int]] = []
    room = -1
    for shard in _by_hash(np.arange(len(sizes), dtype=np.uint64), seed, epoch, rounds=2).tolist():
        if sizes[shard] > room:
            groups.append([])
            room = max_pairs
        groups[-1].append(shard)
        room -= sizes[shard]
    found, first = [], 0
    for group in groups:
        num_pairs = sum(sizes[shard] for shard in group)
        found.append(Window(first=first, num_pairs=num_pairs, shards=tuple(sorted(group))))
        first += num_pairs
    return found


def taken_before(place: int, sizes: Sequence[int]) -> list[int]:
    """Return how many of the first `place` places of an epoch each of several datasets has, that bring so
    many pairs to it: their shares, to less than one pair for each dataset.

    >>> [taken_before(place, [4, 2]) for place in range(7)]
    [[0, 0], [1, 0], [2, 0], [2, 1], [3, 1], [4, 1], [4, 2]]
    """
    found, total = [], sum(sizes)
    for size in sizes:
        rest = place * (total - size) // total if total else 0
        found.append(place - rest)
        place, total = rest, total - size
    return found


def taker_of(place: int, sizes: Sequence[int]) -> int:
    """Return which of several datasets has a place of an epoch.

    >>> [taker_of(place, [4, 2]) for place in range(6)]
    [0, 0, 1, 0, 0, 1]
    """
    total = sum(sizes)
    for number, size in enumerate(sizes):
        rest = place * (total - size) // total
        if rest == (place + 1) * (total - size) // total:
            return number
        place, total = rest, total - size
    raise ValueError("place is outside of every epoch")


def rooms(sizes: Sequence[int], max_pairs: int) -> list[int]:
    """Return how large the windows of several datasets may be that share the memory for `max_pairs`: equal,
    but for small ones that need less.

    >>> rooms([5, 100, 200], max_pairs=105)
    [5, 50, 50]
    """
    found = [0] * len(sizes)
    by_size = sorted(range(len(sizes)), key=lambda number: sizes[number])
    for place, number in enumerate(by_size):
        found[number] = max(1, min(sizes[number], max_pairs // (len(sizes) - place)))
        max_pairs -= found[number]
    return found


def seed_of(seed: int, number: int) -> int:
    """Return the seed of one of several datasets, that none is shuffled as another of its size is; the first
    has the run's own."""
    if number == 0:
        return seed
    numbers = _splitmix64(np.array([seed], np.uint64)) ^ np.uint64(number)
    return int(_splitmix64(numbers)[0])


def epoch_order(num_pairs: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the rows 0 .. num_pairs - 1 in the order of one epoch."""
    return shuffled(np.arange(num_pairs, dtype=np.uint64), seed, epoch)


def shuffled(rows: NDArray[np.uint64], seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the places of some rows of a dataset, given by their numbers, in the order of an epoch.

    They are sorted by a hash (splitmix64) and not shuffled by a library's generator, whose stream may
    change with its version.
    """
    return _by_hash(rows, seed, epoch, rounds=1)


def _by_hash(numbers: NDArray[np.uint64], seed: int, epoch: int, rounds: int) -> NDArray[np.int64]:
    state = _splitmix64(np.full(1, seed, np.uint64)) + np.full(1, epoch, np.uint64)
    for _ in range(rounds):  # so that shards and rows have hashes of their own
        state = _splitmix64(state)
    return np.argsort(_splitmix64(state + numbers), kind="stable")


def _splitmix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
