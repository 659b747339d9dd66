"""Which pairs of later datasets are copies of pairs of earlier ones; any number of them, compared on disk.

A pair is a copy of one in an earlier dataset when they share their key, their URL and caption, or their
original bytes, asked for in this order, each time among what is left; what one dataset holds twice is its own
affair. Perceptual hashes are compared where a distance is given.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.gather import ROW_BITS, Positions, positions_of
from manifests.near_hashes import near_values
from manifests.spill import Records, Spill, is_among, key_numbers, num_range_bits
from manifests.store import Dataset

# By what copies are told, with the reason that a build gives.
CRITERIA = (
    ("key", "exact_duplicate", "the same picture and caption"),
    ("url and caption", "duplicate_pair", "the same URL and caption"),
    ("sha256", "exact_duplicate", "the same bytes as fetched"),
    ("phash", "near_duplicate", "a perceptual hash within {max_distance} bits"),
)
_COLUMNS = ["key", "url", "caption", "sha256", "phash"]


@dataclass(frozen=True)
class Copies:
    """Pairs that are dropped; three arrays of one length, sorted by position."""

    positions: Positions
    kept: Positions  # the pair of an earlier dataset, which stays
    criteria: NDArray[np.uint8]  # place in CRITERIA

    def of_shard(self, number: int) -> slice:
        """Return where the copies of a shard stand, by its number among all datasets' shards."""
        ends = np.array([number, number + 1], dtype=np.uint64) << ROW_BITS
        start, stop = np.searchsorted(self.positions, ends).tolist()
        return slice(start, stop)


def find_copies(sources: Sequence[Dataset], max_distance: int | None) -> Copies:
    """Return all copies; 24 bytes of disk a pair for each criterion, and some 17 of memory for each copy."""
    num_pairs = sum(source.manifest.num_pairs for source in sources)
    first_shards = np.cumsum([0, *(len(source.manifest.shards) for source in sources)])[:-1]
    criteria = CRITERIA if max_distance is not None else CRITERIA[:-1]
    found = Copies(np.empty(0, np.uint64), np.empty(0, np.uint64), np.empty(0, np.uint8))
    with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
        bits = num_range_bits(num_pairs)
        spills = [Spill(Path(folder) / str(n), bits, width=3) for n in range(len(criteria))]
        for number, table in enumerate(_tables(sources)):
            for spill, hashes in zip(spills, _hashes(table), strict=False):
                spill.add(np.column_stack([hashes, positions_of(number, np.arange(len(table)))]))
        for number, spill in enumerate(spills):
            ranges = spill.ranges()
            if criteria[number][0] == "phash":
                ranges = iter([np.concatenate(list(ranges))])
            for records in ranges:
                left = records[~is_among(records[:, 2], found.positions)]
                best = _first_of_equal(left) if number < 3 else _first_of_near(left, max_distance or 0)
                found = _with(found, left[:, 2], best, first_shards, number)
    return Copies(found.positions, _resolved(found), found.criteria)


def _tables(sources: Sequence[Dataset]) -> Iterator[pa.Table]:
    for source in sources:
        for shard in source.manifest.shards:
            yield source.read_index(shard, _COLUMNS)


def _hashes(table: pa.Table) -> Iterator[Records]:
    """Yield (N, 2) numbers of each criterion."""
    yield key_numbers(table["key"])
    pairs = zip(table["url"].to_pylist(), table["caption"].to_pylist(), strict=True)
    named = (blake2b(f"{url}\n{caption}".encode(), digest_size=16).digest() for url, caption in pairs)
    yield _numbers(b"".join(named))
    yield _numbers(b"".join(bytes.fromhex(digest)[:16] for digest in table["sha256"].to_pylist()))
    looks = table["phash"].to_numpy()
    yield np.column_stack([looks, np.zeros_like(looks)])


def _numbers(digests: bytes) -> Records:
    return np.frombuffer(digests, ">u8").astype(np.uint64).reshape(-1, 2)


def _first_of_equal(records: Records) -> Positions:
    """Return for each record the first position that has its two numbers."""
    order = np.lexsort((records[:, 2], records[:, 1], records[:, 0]))
    numbers = records[order, :2]
    begins = np.append(True, (numbers[1:] != numbers[:-1]).any(axis=1))[: len(order)]
    first = records[order, 2][begins][np.cumsum(begins) - 1]
    best = np.empty(len(records), np.uint64)
    best[order] = first
    return best


def _first_of_near(records: Records, max_distance: int) -> Positions:
    """Return for each record the first position whose hash is within the distance."""
    values, members = np.unique(records[:, 0], return_inverse=True)
    first = np.full(len(values), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(first, members, records[:, 2])
    best = first.copy()
    near = near_values(values, max_distance)
    for a, b in ((0, 1), (1, 0)):
        np.minimum.at(best, near[:, a], first[near[:, b]])
    return best[members]


def _with(
    found: Copies, positions: Positions, best: Positions, first_shards: NDArray[np.int64], criterion: int
) -> Copies:
    """Add those positions whose best one lies in an earlier dataset."""
    of_dataset = [np.searchsorted(first_shards, each >> ROW_BITS, side="right") for each in (positions, best)]
    copies = of_dataset[0] > of_dataset[1]
    together = np.concatenate([found.positions, positions[copies]])
    order = np.argsort(together)
    kept = np.concatenate([found.kept, best[copies]])
    criteria = np.concatenate([found.criteria, np.full(copies.sum(), criterion, np.uint8)])
    return Copies(together[order], kept[order], criteria[order])


def _resolved(found: Copies) -> Positions:
    """Return what is kept in the stead of each copy: where that is itself a copy, what is kept for it."""
    kept = found.kept.copy()
    while (gone := is_among(kept, found.positions)).any():
        kept[gone] = found.kept[np.searchsorted(found.positions, kept[gone])]
    return kept
