"""The same pairs in shards of another size, in the order of their keys or as they are; nothing is decoded.

Keys are sorted on disk, in ranges, so that any number of them fits; a new shard then reads the tars that hold
its pairs. Of a build and its additions those are few, since their shards are ranges of keys themselves.
"""

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from manifests.deriving import is_finished
from manifests.gather import Gather, Positions, positions_of
from manifests.publishing import following, write_sizes
from manifests.report import write_report
from manifests.schema import Change, FileRecord, Manifest, Shard
from manifests.select import BESIDE_INDEX
from manifests.spill import Spill, key_numbers, num_range_bits
from manifests.storage import link_or_copy, name_of
from manifests.store import (
    Dataset,
    clear_cut_short,
    read_manifest,
    record_file,
    write_manifest,
    write_table,
)
from manifests.versions import read_coverage

KIND = "reshard"
Order = Literal["key", "as-is"]


def reshard(source: Dataset, out: Path, pairs_per_shard: int, order: Order = "key") -> Manifest:
    """Write the dataset's pairs in shards of exactly `pairs_per_shard`, but for the last, or go on with it;
    return the new manifest. Raises ValueError for a request that cannot be met."""
    if pairs_per_shard < 1:
        raise ValueError(f"pairs-per-shard is {pairs_per_shard}: give 1 or more; 10,000 is usual")
    old = source.manifest
    asked = {"content_hash": old.content_hash, "pairs_per_shard": pairs_per_shard, "order": order}
    if is_finished(out, KIND, asked):
        return read_manifest(out)
    clear_cut_short(out)
    shards, files, gather = list[Shard](), link_others(source, out), Gather(source, out)
    positions = positions_by_key(source) if order == "key" else positions_as_they_are(source)
    for each in in_pieces(positions, pairs_per_shard):
        shard, beside = gather.write(f"{len(shards):05d}", each)
        shards.append(shard)
        files += beside
    change = Change(kind=KIND, request=asked, num_tried=old.num_pairs, num_gained=old.num_pairs, dropped={})
    manifest = following(
        replace(old, name=name_of(out)),
        shards=shards,
        files=(*files, write_sizes(shards, out)),
        funnel=old.funnel,
        change=change,
    )
    write_manifest(out, manifest)
    write_report(out)
    return manifest


def link_others(source: Dataset, out: Path) -> list[FileRecord]:
    """Take over all files of a dataset that do not change with its shards; return their records."""
    changing = ("shards/", *(f"{folder}/" for folder in BESIDE_INDEX))
    files = [file for file in source.manifest.files if not file.path.startswith(changing)]
    for file in files:
        link_or_copy(source.root / file.path, out / file.path)
    if not any(file.path == "coverage.parquet" for file in files):  # the first version wrote none
        write_table(out / "coverage.parquet", read_coverage(source.root))
        files.append(record_file(out, out / "coverage.parquet"))
    return files


def positions_as_they_are(source: Dataset) -> Iterator[Positions]:
    """Yield where the pairs of a dataset are, shard by shard."""
    for number, shard in enumerate(source.manifest.shards):
        yield positions_of(number, np.arange(shard.num_pairs))


def positions_by_key(source: Dataset) -> Iterator[Positions]:
    """Yield where the pairs of a dataset are, in the order of all keys; 24 bytes of disk for each."""
    with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
        spill = Spill(Path(folder) / "keys", num_range_bits(source.manifest.num_pairs), width=3)
        for number, shard in enumerate(source.manifest.shards):
            keys = key_numbers(source.read_index(shard, ["key"])["key"])
            positions = positions_of(number, np.arange(len(keys)))
            spill.add(np.column_stack([keys, positions]))
        for records in spill.ranges():
            yield records[np.lexsort((records[:, 1], records[:, 0])), 2]


def in_pieces(arrays: Iterable[Positions], size: int) -> Iterator[Positions]:
    """Cut a stream of arrays into pieces of exactly `size`, but for the last.

    >>> [piece.tolist() for piece in in_pieces([np.arange(3), np.arange(4)], 2)]
    [[0, 1], [2, 0], [1, 2], [3]]
    """
    waiting = np.empty(0, np.uint64)
    for array in arrays:
        waiting = np.concatenate([waiting, array.astype(np.uint64)])
        whole = len(waiting) // size * size
        yield from waiting[:whole].reshape(-1, size)
        waiting = waiting[whole:]
    if len(waiting):
        yield waiting
