"""Which pairs a dataset has gained and lost since an earlier one: how many, why, and some to look at.

With up to MAX_EXACT pairs in shards that differ, all of them are compared, as by `python -m manifests diff`.
Of more, the pairs whose keys begin with some zeros are: keys are hashes, so they are a fair sample, and in
most shards, whose keys are in order, there are none, which the footer of the index says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.diff.pairs import OneSided, diff_pairs
from manifests.report.data import ShownPair
from manifests.report.sampling import read_shown
from manifests.schema import Manifest, Shard
from manifests.storage import open_parquet
from manifests.store import Dataset

MAX_EXACT = 20_000_000  # keys to compare; 1 GB of temporary files, minutes
MAX_SAMPLED = 2_000_000  # keys in memory
NUM_SHOWN = 8
NO_KEYS = pa.array([], pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """The pairs that one of two datasets has alone. An estimate has no reasons."""

    num_pairs: int
    reasons: dict[str, int]
    shown: tuple[ShownPair, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What differs in the pairs of two datasets; counts are in steps of `every`, 1 where they are exact."""

    lost: Side
    gained: Side
    every: int


def compare_pairs(
    old: Dataset, new: Dataset, folder: Path, max_exact: int = MAX_EXACT, max_sampled: int = MAX_SAMPLED
) -> Compared:
    """Return the pairs lost and gained; `folder` is for temporary files."""
    one, two = _unshared(old.manifest, new.manifest), _unshared(new.manifest, old.manifest)
    num_pairs = max(sum(shard.num_pairs for shard in shards) for shards in (one, two))
    if num_pairs <= max_exact:
        lost, gained = diff_pairs(old, new, folder)
        return Compared(lost=_exact(old, one, lost), gained=_exact(new, two, gained), every=1)
    zeros = 1
    while num_pairs // 16**zeros > max_sampled:
        zeros += 1
    keys = _keys(old, one, "0" * zeros), _keys(new, two, "0" * zeros)
    return Compared(
        lost=_estimate(old, keys[0], keys[1], 16**zeros),
        gained=_estimate(new, keys[1], keys[0], 16**zeros),
        every=16**zeros,
    )


def _unshared(manifest: Manifest, other: Manifest) -> list[Shard]:
    """Return the shards whose index is no file of the other dataset."""
    hashes = {shard.index.sha256 for shard in other.shards}
    return [shard for shard in manifest.shards if shard.index.sha256 not in hashes]


def _exact(dataset: Dataset, shards: Sequence[Shard], side: OneSided) -> Side:
    every, place, keys = side.num_pairs // NUM_SHOWN + 1, 0, []
    for records in side.by_key.ranges():
        for first, second, _ in records[-place % every :: every].tolist():
            keys.append(f"{first:016x}{second:016x}")
        place += len(records)
    return Side(num_pairs=side.num_pairs, reasons=side.reasons, shown=_find(dataset, shards, keys))


def _estimate(dataset: Dataset, mine: "_Keys", theirs: "_Keys", every: int) -> Side:
    places = np.flatnonzero(pc.invert(pc.is_in(mine.keys, value_set=theirs.keys)))
    shown: list[ShownPair] = []
    for place in places[:: len(places) // NUM_SHOWN + 1].tolist():
        shard = mine.shards[np.searchsorted(mine.ends, place, side="right")]
        shown += _find(dataset, [shard], [mine.keys[place].as_py()])
    return Side(num_pairs=every * len(places), reasons={}, shown=tuple(shown))


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys of shards, one shard after the other; those of shard n end at `ends[n]`."""

    keys: pa.Array
    shards: Sequence[Shard]
    ends: npt.NDArray[np.int64]


def _keys(dataset: Dataset, shards: Sequence[Shard], prefix: str) -> _Keys:
    """Return the keys that begin with the prefix."""
    found = []
    for shard in shards:
        with open_parquet(dataset.root / shard.index.path) as file:
            groups = [group for group in range(file.num_row_groups) if _may_hold(file, group, prefix)]
            keys = file.read_row_groups(groups, ["key"])["key"].combine_chunks() if groups else NO_KEYS
            found.append(keys.filter(pc.starts_with(keys, prefix)))
    ends = np.cumsum([len(keys) for keys in found], dtype=np.int64)
    return _Keys(pa.concat_arrays([NO_KEYS, *found]), shards, ends)


def _may_hold(file: pq.ParquetFile, group: int, prefix: str) -> bool:
    """Return whether a row group may have keys that begin with a prefix, as its statistics say."""
    column = file.metadata.row_group(group).column(file.schema_arrow.get_field_index("key"))
    if column.statistics is None or not column.statistics.has_min_max:
        return True
    least, most = column.statistics.min[: len(prefix)], column.statistics.max[: len(prefix)]
    return bool(least <= prefix <= most)


def _find(dataset: Dataset, shards: Sequence[Shard], keys: Sequence[str]) -> tuple[ShownPair, ...]:
    """Return the pairs with these keys in their order; reads the keys of shards until all are found."""
    found: dict[str, ShownPair] = {}
    for shard in shards if keys else ():
        mask = pc.is_in(dataset.read_index(shard, ["key"])["key"], value_set=pa.array(keys, pa.string()))
        if pc.any(mask).as_py():
            for row in read_shown(dataset, shard).filter(mask).to_pylist():
                found[row["key"]] = ShownPair(shard=shard, row=row)
        if len(found) == len(keys):
            break
    return tuple(found[key] for key in keys)
