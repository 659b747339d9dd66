"""All pairs of 64-bit hashes that differ in few bits, exactly, for some millions of them.

Cut into one block more than bits may differ, two near hashes share a block. Larger sets, and other pictures
than those of finished datasets: the build's own search (`--dedup.against`).
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

MAX_DISTANCE = 16


def near_values(hashes: NDArray[np.uint64], max_distance: int) -> NDArray[np.int64]:
    """Return (P, 2) places of distinct hashes that differ in at most `max_distance` bits; some pairs several
    times. Raises ValueError for a distance that cannot be searched for.

    >>> near_values(np.array([0b0000, 0b1111, 0b0001], dtype=np.uint64), 1).tolist()
    [[0, 2]]
    """
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise ValueError(f"max-distance is {max_distance}, of 64 bits: give 0 to {MAX_DISTANCE}; 4 is usual")
    edges = np.linspace(0, 64, max_distance + 2).astype(int).tolist() if max_distance else []
    found = [np.empty((0, 2), np.int64)]
    for low, high in pairwise(edges):
        block = (hashes >> np.uint64(low)) & np.uint64((1 << (high - low)) - 1)
        order = np.argsort(block, kind="stable")
        found += _near_neighbours(hashes[order], block[order], order, max_distance)
    return np.concatenate(found)


def _near_neighbours(
    hashes: NDArray[np.uint64], block: NDArray[np.uint64], order: NDArray[np.int64], max_distance: int
) -> list[NDArray[np.int64]]:
    """Compare each with its next neighbours while they share the block; memory stays linear."""
    found, left, offset = [], np.arange(len(hashes)), 1
    while len(left := left[left + offset < len(hashes)]):
        left = left[block[left] == block[left + offset]]
        near = left[np.bitwise_count(hashes[left] ^ hashes[left + offset]) <= max_distance]
        found.append(np.sort(np.stack([order[near], order[near + offset]], axis=1), axis=1))
        offset += 1
    return found
