"""Some pairs of a dataset as a new one: by a condition, by a list of keys, by a cap, no picture decoded.

Each shard's index is looked at by itself, and of it the columns that decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.deriving import is_finished
from manifests.ids import Ids
from manifests.schema import Change, Manifest, Shard
from manifests.select import Judged, write_selection
from manifests.spill import key_numbers
from manifests.store import Dataset, content_hash, read_manifest
from manifests.where import Where

KIND, REASON = "select", "not_selected"
BUCKET_BITS = 16  # of a key, by which it is counted to find the lowest ones

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which pairs stay: those that fit all that is given."""

    where: Where | None = None
    ids: Ids | None = None
    max_pairs_per_query: int | None = None
    max_pairs: int | None = None  # those with the lowest keys, which are hashes

    def __post_init__(self) -> None:
        """Raise ValueError where nothing is chosen by, or a cap is below 1."""
        if (self.where, self.ids, self.max_pairs, self.max_pairs_per_query) == (None,) * 4:
            raise ValueError("nothing to select by: give --where, --ids, --max-pairs or --per-query-cap")
        for flag, value in (("max-pairs", self.max_pairs), ("per-query-cap", self.max_pairs_per_query)):
            if value is not None and value < 1:
                raise ValueError(f"{flag} is {value}: give 1 or more, or leave it out")

    def masks(self, source: Dataset) -> Iterator[tuple[Shard, Mask]]:
        """Yield each shard with bool (N,): its pairs that stay."""
        if self.max_pairs is None:
            yield from self._masks(source)
            return
        # Two looks: a bit for each pair is kept from the first.
        lowest = Lowest(self.max_pairs)
        packed = []
        for shard, mask in self._masks(source):
            packed.append(np.packbits(mask))
            lowest.count(source.read_index(shard, ["key"])["key"].filter(mask))
        for shard, bits in zip(source.manifest.shards, packed, strict=True):
            mask = np.unpackbits(bits, count=shard.num_pairs).astype(bool)
            lowest.collect(source.read_index(shard, ["key"])["key"].filter(mask))
        for shard, bits in zip(source.manifest.shards, packed, strict=True):
            mask = np.unpackbits(bits, count=shard.num_pairs).astype(bool)
            yield shard, mask & lowest.mask(source.read_index(shard, ["key"])["key"])

    def _masks(self, source: Dataset) -> Iterator[tuple[Shard, Mask]]:
        counts = np.zeros(source.manifest.num_queries, np.int64)
        for shard in source.manifest.shards:
            mask = np.ones(shard.num_pairs, dtype=bool)
            if self.where:
                mask &= self.where.mask_of(source.root / shard.index.path)
            if self.ids:
                mask &= self.ids.mask(source.read_index(shard, ["key"])["key"])
            if self.max_pairs_per_query:
                query_ids = source.read_index(shard, ["query_ids"])["query_ids"].to_pylist()
                mask &= _with_room(query_ids, mask, counts, self.max_pairs_per_query)
            yield shard, mask


def _with_room(query_ids: list[list[int] | None], mask: Mask, counts: NDArray[np.int64], cap: int) -> Mask:
    """Return bool (N,): the pairs of which a term has fewer than `cap` so far; count them."""
    kept = np.zeros(len(mask), dtype=bool)
    for row in np.flatnonzero(mask):
        terms = query_ids[row] or []
        kept[row] = not terms or any(counts[term] < cap for term in terms)
        if kept[row]:
            counts[terms] += 1
    return kept


class Lowest:
    """The lowest of more keys than fit in memory: counted by their first bits, then those of one bucket."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._counts = np.zeros(1 << BUCKET_BITS, np.int64)
        self._near: list[str] = []  # keys of the bucket in which the last of the lowest is

    def count(self, keys: pa.ChunkedArray) -> None:
        """Count keys: first all of them."""
        self._counts += np.bincount(_buckets(keys), minlength=1 << BUCKET_BITS)

    @property
    def _bucket(self) -> int:
        return int(np.searchsorted(np.cumsum(self._counts), self.number))

    def collect(self, keys: pa.ChunkedArray) -> None:
        """Look at keys for the second time, again at all of them."""
        self._near += keys.filter(_buckets(keys) == self._bucket).to_pylist()

    def mask(self, keys: pa.ChunkedArray) -> Mask:
        """Return bool (N,): which keys are among the lowest."""
        buckets, bucket = _buckets(keys), self._bucket
        room = self.number - int(self._counts[:bucket].sum())
        if bucket >= len(self._counts):
            return np.ones(len(buckets), dtype=bool)
        last = sorted(self._near)[room - 1]
        among: Mask = (buckets < bucket) | (
            (buckets == bucket) & pc.less_equal(keys, last).to_numpy().astype(bool)
        )
        return among


def _buckets(keys: pa.ChunkedArray) -> NDArray[np.int64]:
    buckets: NDArray[np.int64] = (key_numbers(keys)[:, 0] >> np.uint64(64 - BUCKET_BITS)).astype(np.int64)
    return buckets


def select(source: Dataset, choice: Choice, out: Path, asked: dict[str, object]) -> Manifest:
    """Write the chosen pairs as a dataset, or go on with it; return its manifest. `asked` stands in it.

    Raises ValueError where `out` holds something else.
    """
    asked = {"content_hash": content_hash(source.manifest.shards), **asked}
    if is_finished(out, KIND, asked):
        return read_manifest(out)
    said = ", ".join(
        f"{name.replace('_', '-')} {value}" for name, value in asked.items() if name != "content_hash"
    )
    num_pairs = source.manifest.num_pairs
    judged = (
        Judged(shard=shard, details=[None if stays else f"not among {said}" for stays in mask.tolist()])
        for shard, mask in choice.masks(source)
    )
    change = Change(kind=KIND, request=asked, num_tried=num_pairs, num_gained=num_pairs, dropped={})
    return write_selection(source, judged, out, KIND, REASON, change)
