"""Which of many listed hashes is nearest to one hash: for block lists of up to some millions.

The same cut as in `near`: of one block more than the bits that may differ, one is equal. So there is a row of
the listed hashes for each block, sorted with it in front, and those that share it with the hash are compared.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from filters.near import ALL_BITS, HASH_BITS, Hashes, check_distance, rows_of

FEW = 50_000  # listed hashes that are compared as fast one by one as found by their blocks


class NearIndex:
    """Listed 64-bit hashes, to be asked for the nearest. Eight bytes for each hash and row."""

    def __init__(self, hashes: Hashes, max_distance: int) -> None:
        """Sort the hashes. Raises ValueError for a distance outside 0..16."""
        check_distance(max_distance)
        self.max_distance = max_distance
        self._hashes = np.unique(hashes)
        self._rows = () if len(self._hashes) <= FEW else rows_of(max_distance + 1, max_distance)
        self._sorted = [np.sort(row.arrange(self._hashes)) for row in self._rows]

    def nearest(self, value: int) -> tuple[int, int] | None:
        """Return the nearest listed hash and its distance, the smallest of equally near ones; None where none
        is within the distance."""
        asked = np.array([value], dtype=np.uint64)
        if not self._rows:
            return self._best(self._hashes, asked)
        found = []
        for row, arranged in zip(self._rows, self._sorted, strict=True):
            moved = row.arrange_one(value)
            behind = HASH_BITS - row.key_bits
            low = moved >> behind << behind
            ends = np.array([low, low | (ALL_BITS >> row.key_bits)], dtype=np.uint64)
            start, stop = arranged.searchsorted(ends[0], "left"), arranged.searchsorted(ends[1], "right")
            near = arranged[start:stop]
            near = near[np.bitwise_count(near ^ np.uint64(moved)) <= self.max_distance]
            if len(near):
                found.append(row.restore(near))
        return self._best(np.concatenate(found), asked) if found else None

    def _best(self, hashes: Hashes, asked: Hashes) -> tuple[int, int] | None:
        distances = np.bitwise_count(hashes ^ asked)
        within = np.flatnonzero(distances <= self.max_distance)
        pairs = ((int(distances[place]), int(hashes[place])) for place in within)
        distance, listed = min(pairs, default=(0, None))
        return None if listed is None else (listed, distance)


class WideIndex:
    """Listed hashes of 256 bits, each compared: no cut spares much where 31 bits may differ. Unrelated ones
    differ in more than that in their first half already. 32 bytes for each hash."""

    def __init__(self, hashes: Iterable[str], max_distance: int) -> None:
        """Take hashes of 64 hex digits."""
        self.max_distance = max_distance
        words = _words("".join(sorted(set(hashes))))
        self._columns = np.ascontiguousarray(words.T)

    def nearest(self, value: str) -> tuple[str, int] | None:
        """Return the nearest listed hash and its distance, the first of equally near ones, or None."""
        asked = _words(value)[0]
        first_half = sum(np.bitwise_count(self._columns[n] ^ asked[n]) for n in range(2))
        near = self._columns[:, np.asarray(first_half) <= self.max_distance]
        distances = np.bitwise_count(near ^ asked[:, None]).sum(axis=0)
        place = int(distances.argmin()) if len(distances) else 0
        if not len(distances) or distances[place] > self.max_distance:
            return None
        return near[:, place].tobytes().hex(), int(distances[place])


def _words(digits: str) -> NDArray[np.uint64]:
    return np.frombuffer(bytes.fromhex(digits), dtype=np.uint64).reshape(-1, 4)
