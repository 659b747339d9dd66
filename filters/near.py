"""All pairs of hashes that differ in few bits, exactly, among as many as memory holds.

Cut the 64 bits into blocks. Hashes within `max_distance` bits of each other differ in at most so many blocks,
so the others are equal: for each choice of so many blocks (a `Row`), the hashes are arranged with the chosen
blocks in front and sorted as plain numbers. Near hashes then stand side by side in at least one row, and what
is sorted is the hash itself: no index is carried along, and XOR counts the same bits in any arrangement.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, pairwise
from math import comb

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64
ALL_BITS = (1 << HASH_BITS) - 1
MAX_DISTANCE = 16  # beyond it the keys get so short that everything is compared with everything
MAX_RUN = 1_000
"""Hashes of one key that are compared each with each; more are cut by their other bits."""
MAX_ROWS = 300
SKEW = 8.0  # so many times as often as random keys do those of real pictures meet (measured: 2 to 12)
SLICE = 1 << 16  # hashes that are worked on at a time: they stay in the cache

Hashes = NDArray[np.uint64]
Moves = tuple[tuple[int, int, int], ...]  # (lowest bit, width, lowest bit afterwards) of groups of bits


@dataclass(frozen=True)
class Row:
    """One arrangement of the bits: the key (some blocks) in front, the other blocks behind."""

    moves: Moves
    key_bits: int
    skipped: tuple[
        int, ...
    ]  # masks, as arranged, of the blocks before the last of the key that are not in it

    def arrange(self, hashes: Hashes) -> Hashes:
        """Return the hashes (N,) with their bits moved."""
        return _moved(hashes, self.moves)

    def arrange_one(self, value: int) -> int:
        """Return one hash with its bits moved, in a tenth of the time that an array of one takes."""
        return sum((value >> low & (1 << width) - 1) << new for low, width, new in self.moves)

    def restore(self, arranged: Hashes) -> Hashes:
        """Undo `arrange`."""
        return _moved(arranged, _undo(self.moves))

    def keys(self, arranged: Hashes) -> Hashes:
        """Return (N,) keys: equal for near hashes in at least one row."""
        return arranged >> np.uint64(HASH_BITS - self.key_bits)

    def pairs(self, arranged: Hashes, max_distance: int) -> NDArray[np.uint64]:
        """Return (P, 2) near hashes of equal key, as arranged, that no earlier row finds too. `arranged` is
        distinct and sorted."""
        shift = np.uint64(HASH_BITS - self.key_bits)
        found = [np.empty((0, 2), dtype=np.uint64)]
        left = _equal_neighbours(arranged, shift)
        for start, end in _long_runs(left):
            found.append(near_values(arranged[start:end], max_distance))
            left = left[(left < start) | (left >= end)]
        offset = 1
        # Each is compared with its offset-th neighbour while that has its key: memory stays linear in N.
        while len(left):
            differing = arranged[left] ^ arranged[left + offset]
            same = differing >> shift == 0
            left, differing = left[same], differing[same]
            near = left[np.bitwise_count(differing) <= max_distance]
            found.append(np.stack([arranged[near], arranged[near + offset]], axis=1))
            offset += 1
            left = left[left + offset < len(arranged)]
        return self._first_found(np.concatenate(found))

    def _first_found(self, pairs: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """Leave out the pairs whose first equal blocks are not this row's: an earlier row finds those."""
        differing = pairs[:, 0] ^ pairs[:, 1]
        for mask in self.skipped:
            differs = differing & np.uint64(mask) != 0
            pairs, differing = pairs[differs], differing[differs]
        return pairs


def near_values(hashes: Hashes, max_distance: int) -> NDArray[np.uint64]:
    """Return all (a, b), a < b, of distinct hashes (N,) that differ in at most `max_distance` bits: (P, 2).

    Exact: none is missed. Raises ValueError for a distance outside 0..16.

    >>> near_values(np.array([0b0000, 0b1111, 0b0001], dtype=np.uint64), max_distance=1).tolist()
    [[0, 1]]
    """
    check_distance(max_distance)
    # Bits in which no two differ say nothing: without them, hashes that share much are cut as well as others.
    varying = int(np.bitwise_or.reduce(hashes) ^ np.bitwise_and.reduce(hashes)) if len(hashes) else 0
    compact = _varying_bits(varying)
    rows = rows_for(len(hashes), max_distance, varying.bit_count())
    if not rows:
        return _compare_all(np.sort(hashes), max_distance)
    hashes, constant = _moved(hashes, compact), hashes[0] & np.uint64(~varying & ALL_BITS)
    found = []
    for row in rows:
        arranged = row.arrange(hashes)
        arranged.sort()
        found.append(row.restore(row.pairs(arranged, max_distance)))
    pairs = _moved(np.concatenate(found), _undo(compact)) | constant
    return np.sort(pairs, axis=1)


def near_pairs(hashes: Hashes, max_distance: int) -> NDArray[np.int64]:
    """Return all (i, j), i < j, whose hashes differ in at most `max_distance` bits: (P, 2), sorted.

    A hash that is equal to an earlier one is linked to the first of its kind alone, and only firsts are
    compared further: N equal hashes give N - 1 pairs, not N squared, and the connected groups are the same.

    >>> near_pairs(np.array([0b0000, 0b1111, 0b0001, 0b0000], dtype=np.uint64), max_distance=1).tolist()
    [[0, 2], [0, 3]]
    """
    hashes = np.ascontiguousarray(hashes, dtype=np.uint64)
    order = np.argsort(hashes)
    ordered = hashes[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(hashes)])
    distinct = ordered[starts]
    first = np.minimum.reduceat(order, starts) if len(starts) else order
    links = np.stack([np.repeat(first, np.diff(starts, append=len(hashes))), order], axis=1)
    links = links[links[:, 0] != links[:, 1]]
    values = near_values(distinct, max_distance)
    known = np.sort(values, axis=None)  # searched for in order: memory is read once, from front to back
    places = np.searchsorted(distinct, known)
    near = first[places[np.searchsorted(known, values)]]
    found = np.sort(np.concatenate([links, near]), axis=1).astype(np.int64)
    return found[np.lexsort(found.T[::-1])]


def rows_for(num_hashes: int, max_distance: int, num_bits: int = HASH_BITS) -> tuple[Row, ...]:
    """Return the rows that find all near pairs among so many hashes at the least cost; none where it costs
    less to compare everything with everything."""
    cheapest: tuple[Row, ...] = ()
    least_ns = 5e3 * num_hashes + 0.3 * num_hashes**2
    for num_blocks in range(max_distance + 1, min(max_distance + 6, num_bits) + 1):
        if num_blocks == max_distance + 1 or comb(num_blocks, max_distance) <= MAX_ROWS:
            rows = rows_of(num_blocks, max_distance, num_bits)
            if (cost_ns := _cost_ns(rows, num_hashes)) < least_ns:
                cheapest, least_ns = rows, cost_ns
    return cheapest


def _cost_ns(rows: tuple[Row, ...], num_hashes: int) -> float:
    """Return about what it costs to arrange and sort the hashes in each row and to compare those of a key."""
    compared = sum(num_hashes / 2.0 ** (row.key_bits + 1) for row in rows)
    return len(rows) * 5e4 + num_hashes * (len(rows) * (4 + 0.5 * len(rows[0].moves)) + 15 * SKEW * compared)


@lru_cache(maxsize=1024)
def rows_of(num_blocks: int, max_distance: int, num_bits: int = HASH_BITS) -> tuple[Row, ...]:
    """Return the rows of bits cut into `num_blocks`: one for each choice of num_blocks - max_distance."""
    edges = [HASH_BITS - num_bits + num_bits * block // num_blocks for block in range(num_blocks + 1)]
    blocks = list(pairwise(edges))
    chosen_rows = combinations(range(num_blocks), num_blocks - max_distance)
    return tuple(_row_of(blocks, chosen) for chosen in chosen_rows)


def _row_of(blocks: list[tuple[int, int]], chosen: tuple[int, ...]) -> Row:
    top, moves, skipped, key_bits = HASH_BITS, [], [], 0
    for block in (*chosen, *(number for number in range(len(blocks)) if number not in chosen)):
        low, high = blocks[block]
        top -= high - low
        moves.append((low, high - low, top))
        if block in chosen:
            key_bits = HASH_BITS - top
        elif block < chosen[-1]:
            skipped.append(((1 << (high - low)) - 1) << top)
    return Row(tuple(moves), key_bits, tuple(skipped))


def _varying_bits(mask: int) -> Moves:
    """Return the moves that put the bits of a mask side by side at the top."""
    moves, top = [], HASH_BITS
    for group in reversed(list(re.finditer("1+", f"{mask:b}"[::-1]))):
        width = group.end() - group.start()
        top -= width
        moves.append((group.start(), width, top))
    return tuple(moves)


def _undo(moves: Moves) -> Moves:
    return tuple((new, width, low) for low, width, new in moves)


def _moved(hashes: Hashes, moves: Moves) -> Hashes:
    moved = np.zeros(hashes.shape, dtype=np.uint64)
    flat, out = hashes.reshape(-1), moved.reshape(-1)
    for start in range(0, len(flat), SLICE):
        here, there = flat[start : start + SLICE], out[start : start + SLICE]
        for low, width, new in moves:
            block = here >> np.uint64(low)
            block &= np.uint64((1 << width) - 1)
            block <<= np.uint64(new)
            there |= block
    return moved


def _equal_neighbours(arranged: Hashes, shift: np.uint64) -> NDArray[np.int64]:
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, len(arranged) - 1, SLICE):
        here = arranged[start : start + SLICE + 1]
        found.append(np.flatnonzero((here[1:] ^ here[:-1]) >> shift == 0) + start)
    return np.concatenate(found)


def _long_runs(left: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield [start, end) of runs of more than MAX_RUN equal keys; `left`: rows whose key is the next's."""
    if len(left) < MAX_RUN or not (left[MAX_RUN - 1 :] - left[: 1 - MAX_RUN] == MAX_RUN - 1).any():
        return
    breaks = np.flatnonzero(np.diff(left) != 1) + 1
    edges = [0, *breaks.tolist(), len(left)]
    for first, last in pairwise(edges):
        if last - first >= MAX_RUN:
            yield int(left[first]), int(left[last - 1]) + 2


def _compare_all(hashes: Hashes, max_distance: int) -> NDArray[np.uint64]:
    found = [np.empty((0, 2), dtype=np.uint64)]
    for offset in range(1, len(hashes)):
        near = np.bitwise_count(hashes[offset:] ^ hashes[:-offset]) <= max_distance
        found.append(np.stack([hashes[:-offset][near], hashes[offset:][near]], axis=1))
    return np.concatenate(found)


def check_distance(max_distance: int) -> None:
    """Raise ValueError for a distance that cannot be searched for."""
    if not 0 <= max_distance <= MAX_DISTANCE:
        raise ValueError(
            f"max_distance {max_distance} of {HASH_BITS} bits: give 0 to {MAX_DISTANCE}; 4 is usual"
        )
