"""Which pairs one dataset has and another has not, and why, in memory that does not grow with them.

A pair is its key, the hash of its picture and caption. Shards whose index is the same file in both are not
read. Of the others every key is spilled to disk, 8 bytes a pair, and compared range by range; of the pairs
that differ also the hash of URL and caption, some 100 bytes a pair, which the other's rejections have, too.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import Manifest, Shard
from manifests.spill import (
    MayHold,
    Records,
    Spill,
    glimpses,
    is_among,
    key_numbers,
    num_range_bits,
    pair_hashes,
    places_in,
)
from manifests.storage import open_parquet
from manifests.store import Dataset

NOT_SEEN = "not among its candidates"
OTHER_PICTURE = "same URL and caption, other picture"


@dataclass(frozen=True, kw_only=True)
class OneSided:
    """The pairs that only one of two datasets has: how many, and what the other one says of them."""

    num_pairs: int
    reasons: dict[str, int]  # "fetch: timeout", OTHER_PICTURE, NOT_SEEN; the most frequent first
    by_key: Spill  # the number of the key, in two halves, and of the reason
    names: tuple[str, ...]  # of the reasons, by number

    def explained(self) -> Iterator[tuple[str, str]]:
        """Yield the key of each and what the other one says of it, in the order of keys."""
        for records in self.by_key.ranges():
            for first, second, code in records.tolist():
                yield f"{first:016x}{second:016x}", self.names[code]


def diff_pairs(old: Dataset, new: Dataset, folder: Path) -> tuple[OneSided, OneSided]:
    """Return the pairs that only the old dataset has, and those that only the new one has. `folder` is for
    temporary files, on this machine; it must be there until the keys were read."""
    bits = num_range_bits(max(old.manifest.num_pairs, new.manifest.num_pairs))
    shared = _index_hashes(old.manifest) & _index_hashes(new.manifest)
    one, two = _Side(old, shared, folder / "old", bits), _Side(new, shared, folder / "new", bits)
    all_of_one, all_of_two = one.spill_keys(), two.spill_keys()
    for mine, theirs in zip(all_of_one.ranges(), all_of_two.ranges(), strict=True):
        one.add_only(mine[:, 0], theirs[:, 0])
        two.add_only(theirs[:, 0], mine[:, 0])
    by_pair = one.spill_pairs(), two.spill_pairs()
    return two.explain(*by_pair, one), one.explain(*by_pair[::-1], two)


def _index_hashes(manifest: Manifest) -> set[str]:
    return {shard.index.sha256 for shard in manifest.shards}


class _Side:
    """One of the two datasets: the keys that only it has, and what it says of the other's."""

    def __init__(self, dataset: Dataset, shared: set[str], folder: Path, range_bits: int) -> None:
        folder.mkdir()
        self.folder = folder
        self._dataset, self._bits = dataset, range_bits
        self._shards = [shard for shard in dataset.manifest.shards if shard.index.sha256 not in shared]
        self._only, num_pairs = self._spill("only"), sum(shard.num_pairs for shard in self._shards)
        self._may_be_only, self.may_be_asked = (MayHold(num_pairs) for _ in range(2))

    def _spill(self, name: str, width: int = 1) -> Spill:
        return Spill(self.folder / name, self._bits, width)

    def spill_keys(self) -> Spill:
        """Return the first 64 bits of all keys of shards that are not shared."""
        keys = self._spill("keys")
        for shard in self._shards:
            keys.add(key_numbers(self._read(shard, ["key"])["key"])[:, :1])
        return keys

    def add_only(self, mine: Records, theirs: Records) -> None:
        """Note which of my keys they have not; of both those of one range, in order."""
        only = mine[~is_among(mine, theirs)]
        self._only.add(only.reshape(-1, 1))
        self._may_be_only.add(only)

    def spill_pairs(self) -> Spill:
        """Return of the pairs that only this one has the hash of URL and caption, and the key."""
        candidates, by_pair = self._spill("candidates", 3), self._spill("pairs", 3)
        for shard in self._shards if self._only.num_records else ():
            keys = key_numbers(self._read(shard, ["key"])["key"])
            mask = self._may_be_only.mask(keys[:, 0])
            if mask.any():
                pairs = self._read(shard, ["url", "caption"]).filter(pa.array(mask))
                self.may_be_asked.add(glimpses(pairs["url"], pairs["caption"]))
                candidates.add(np.column_stack([keys[mask], _hashes_of(pairs)]))
        for records, only in zip(candidates.ranges(), self._only.ranges(), strict=True):
            by_pair.add(records[is_among(records[:, 0], only[:, 0])][:, [2, 0, 1]])
        return by_pair

    def explain(self, theirs: Spill, mine: Spill, other: "_Side") -> OneSided:
        """Return what this dataset says of the pairs that only the other one has."""
        codes = _Codes(self._dataset.manifest)
        said = self._rejections(theirs, other.may_be_asked, codes)
        by_key, counts = other._spill("explained", 3), Counter[int]()
        for records, pairs, rejected in zip(theirs.ranges(), mine.ranges(), said.ranges(), strict=True):
            found = _codes_for(records[:, 0], pairs[:, 0], rejected)
            counts.update(dict(enumerate(np.bincount(found, minlength=2).tolist())))
            by_key.add(np.column_stack([records[:, 1:], found.astype(np.uint64)]))
        names = codes.names()
        reasons = {names[code]: count for code, count in counts.most_common() if count}
        return OneSided(num_pairs=by_key.num_records, reasons=reasons, by_key=by_key, names=names)

    def _rejections(self, of: Spill, may_be_asked: MayHold, codes: "_Codes") -> Spill:
        """Return the hashes of this dataset's rejected pairs that may be some of these, each with a code."""
        said = self._spill("rejections", 2)
        files = [file.path for file in self._dataset.manifest.files if file.path.startswith("rejections/")]
        for path in files if of.num_records else ():
            columns = ["stage", "reason", "url", "caption"]
            for batch in open_parquet(self._dataset.root / path).iter_batches(columns=columns):
                table = pa.table(batch)
                asked = table.filter(pa.array(may_be_asked.mask(glimpses(table["url"], table["caption"]))))
                said.add(np.column_stack([_hashes_of(asked), codes.of(asked)]))
        return said

    def _read(self, shard: Shard, columns: list[str]) -> pa.Table:
        return self._dataset.read_index(shard, columns)


def _hashes_of(table: pa.Table) -> Records:
    return pair_hashes(table["url"].to_pylist(), table["caption"].to_pylist())


def _codes_for(hashes: Records, pairs: Records, rejected: Records) -> npt.NDArray[np.int64]:
    """Return the code for each hash: of the latest stage that rejected it; of both others sorted by hash."""
    codes = np.where(is_among(hashes, pairs), _Codes.OTHER_PICTURE, _Codes.NOT_SEEN)
    latest = rejected[np.lexsort((np.iinfo(np.int64).max - rejected[:, 1].astype(np.int64), rejected[:, 0]))]
    place = places_in(hashes, latest[:, 0])
    said = latest[place, 1].astype(np.int64) if len(latest) else codes
    return np.where((place >= 0) & (codes == _Codes.NOT_SEEN), said, codes)


class _Codes:
    """A number for each stage and reason; later stages have higher ones."""

    NOT_SEEN, OTHER_PICTURE = 0, 1

    def __init__(self, manifest: Manifest) -> None:
        reasons = [f"{stage.stage}: {reason}" for stage in manifest.funnel for reason in stage.dropped]
        self._code_of = {name: code for code, name in enumerate([NOT_SEEN, OTHER_PICTURE, *reasons])}

    def of(self, rejections: pa.Table) -> Records:
        """Return the code of each rejection."""
        names = pc.binary_join_element_wise(rejections["stage"], rejections["reason"], ": ")
        encoded = pa.chunked_array([names.combine_chunks()]).dictionary_encode().combine_chunks()
        known = [
            self._code_of.setdefault(name, len(self._code_of)) for name in encoded.dictionary.to_pylist()
        ]
        codes: Records = np.array(known, np.uint64)[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes

    def names(self) -> tuple[str, ...]:
        """Return what the codes stand for."""
        return tuple(self._code_of)
