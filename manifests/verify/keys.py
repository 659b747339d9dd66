"""Is every key there once? All keys of a dataset, compared by 64 bits of each on disk: 8 bytes a key.

What agrees in those, of 400 million keys one pair with a probability of 0.4 %, is compared in full.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType

import numpy as np
import pyarrow as pa

from manifests.schema import Manifest, Shard
from manifests.spill import Hashes, Spill, is_among, key_numbers, num_range_bits
from manifests.storage import read_table
from manifests.verify.found import Mismatch

MAX_RANGE_BITS = 12  # what a manifest says of its size may be wrong
MAX_REPEATED = 1_000_000  # hashes that are looked at in full


def key_hashes(keys: pa.ChunkedArray) -> Hashes:
    """Return 64 bits of all digits of each key (uint64). Raises ValueError for what is no key."""
    numbers = key_numbers(keys)
    return numbers[:, 0] + numbers[:, 1] * np.uint64(0x9E3779B97F4A7C15)


class Keys(AbstractContextManager["Keys"]):
    """The keys of a dataset, in files of their own while it is open."""

    def __init__(self, manifest: Manifest) -> None:
        self._folder = TemporaryDirectory(prefix="openwit-verify-")
        bits = min(MAX_RANGE_BITS, num_range_bits(max(0, manifest.num_pairs)))
        self._spill = Spill(Path(self._folder.name) / "keys", bits)

    def add(self, keys: Hashes) -> None:
        """Take the keys of a shard."""
        self._spill.add(keys.reshape(-1, 1))

    def repeated(self) -> Hashes:
        """Return the hashes that were added twice, sorted, the first million of them."""
        found: list[Hashes] = [np.empty(0, np.uint64)]
        for records in self._spill.ranges():
            keys = records[:, 0]
            found.append(np.unique(keys[1:][keys[1:] == keys[:-1]]))
            if sum(map(len, found)) > MAX_REPEATED:
                break
        return np.concatenate(found)[:MAX_REPEATED]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def repeated_keys(root: Path, shards: list[Shard], hashes: Hashes) -> Iterator[Mismatch]:
    """Yield for each index that repeats keys of itself or of one before it the first and how many more; read
    again are the keys of these shards. `hashes` are sorted; other keys are not looked at."""
    first_in: dict[str, str] = {}
    repeats: dict[str, list[str]] = defaultdict(list)
    for shard in shards:
        keys = read_table(root / shard.index.path, ["key"])["key"]
        for key in keys.filter(is_among(key_hashes(keys), hashes)).to_pylist():
            if key in first_in:
                repeats[shard.index.path].append(key)
            else:
                first_in[key] = shard.index.path
    for path, found in repeats.items():
        more = f", and so have {len(found) - 1} more of its keys" if len(found) > 1 else ""
        yield Mismatch(path, f"key {found[0]} was before in {first_in[found[0]]}{more}")
