"""Where in a dataset the traces of a request are: pairs, rejections, and pairs that stand for dropped copies.

One table is in memory at a time, and of it the columns that decide; what is kept is of the request's size.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.do_not_fetch import url_line
from manifests.schema import FileRecord, Shard
from manifests.storage import read_schema, read_table
from manifests.store import Dataset
from manifests.takedown.request import COLUMNS, Mask, Request


@dataclass(kw_only=True)
class Amendment:
    """What a pair that stays says no more: of copies for which it stood and which are taken down."""

    num_duplicates: int = 0
    captions: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class Found:
    """What is taken down, by the paths in which it lies."""

    rows: dict[str, set[int]] = field(default_factory=dict)  # of an index: pairs
    amended: dict[str, dict[str, Amendment]] = field(default_factory=dict)  # of an index: by key
    rejected: dict[str, Mask] = field(default_factory=dict)  # of a table of rejections
    keys: set[str] = field(default_factory=set)  # of the pairs
    urls: set[str] = field(default_factory=set)  # of the pairs
    lines: set[str] = field(default_factory=set)  # for the do-not-fetch list

    @property
    def num_pairs(self) -> int:
        """Pairs that are taken down."""
        return len(self.keys)

    @property
    def num_rejections(self) -> int:
        """Rejected rows of which nothing but their count is left."""
        return sum(int(mask.sum()) for mask in self.rejected.values())

    @property
    def num_amended(self) -> int:
        """Pairs that stay, without what they said of copies."""
        return sum(map(len, self.amended.values()))

    def __bool__(self) -> bool:
        return bool(self.keys or self.rejected or self.amended)

    def marks(self, table: pa.Table, request: Request) -> Mask:
        """Return bool (N,): the rejections or samples that are of the request, of a picture that is taken
        down, or of the URL of such a pair."""
        of_pictures = pc.is_in(table["kept_key"], value_set=_strings(self.keys))
        of_urls = pc.is_in(table["url"], value_set=_strings(self.urls))
        marked: Mask = request.mask(table) | pc.or_(of_pictures, of_urls).to_numpy().astype(bool)
        return marked


def find(dataset: Dataset, request: Request) -> Found:
    """Return all that a request means in a dataset."""
    found, amended = Found(), dict[str, Amendment]()
    for shard in dataset.manifest.shards:
        table = read_present(dataset.root / shard.index.path, ["key", *COLUMNS, "extra_captions"])
        _take(found, shard, table, np.flatnonzero(request.mask(table)))
        _find_extra_captions(table, request, found, amended)
    if request.names_pictures:  # a copy that is meant is the same picture as the pair that stands for it
        _take_keys(found, dataset, _keys_of_meant_copies(dataset, request) - found.keys)
    for record in rejections_of(dataset):
        table = read_present(dataset.root / record.path, ["kept_key", *COLUMNS])
        marked = found.marks(table, request)
        if marked.any():
            found.rejected[record.path] = marked
            rows = table.filter(pa.array(marked))
            found.lines |= lines_of(rows)
            for row in rows.select(["kept_key", "caption"]).to_pylist():
                if row["kept_key"] and row["kept_key"] not in found.keys:
                    amendment = amended.setdefault(row["kept_key"], Amendment())
                    amendment.num_duplicates += 1
                    amendment.captions.add(row["caption"])
    if amended:
        _spare_captions_of_others(dataset, found, amended, request)
        _place(found, dataset, amended)
    if found:
        found.lines |= request.lines()
    return found


def rejections_of(dataset: Dataset) -> list[FileRecord]:
    """Return the records of a dataset's tables of rejections."""
    return [file for file in dataset.manifest.files if file.path.startswith("rejections/")]


def read_present(path: Path, names: Iterable[str]) -> pa.Table:
    """Return those of the columns that a table has."""
    there = set(read_schema(path).names)
    return read_table(path, [name for name in names if name in there])


def lines_of(rows: pa.Table) -> set[str]:
    """Return the lines that keep rows of an index or of rejections out."""
    lines = {url_line(url) for url in rows["url"].to_pylist() if url}
    if "sha256" in rows.column_names:
        lines |= {f"sha256:{digest}" for digest in rows["sha256"].to_pylist() if digest}
    if "phash" in rows.column_names:
        lines |= {f"phash:{looks:016x}" for looks in rows["phash"].to_pylist() if looks is not None}
    return lines


def _take(found: Found, shard: Shard, table: pa.Table, rows: np.ndarray) -> None:
    if len(rows):
        taken = table.take(rows)
        found.rows.setdefault(shard.index.path, set()).update(rows.tolist())
        found.keys.update(taken["key"].to_pylist())
        found.urls.update(taken["url"].to_pylist())
        found.lines |= lines_of(taken)


def _take_keys(found: Found, dataset: Dataset, keys: set[str]) -> None:
    for shard, rows in _shards_with(dataset, keys):
        table = read_present(dataset.root / shard.index.path, ["key", *COLUMNS])
        _take(found, shard, table, rows)


def _shards_with(dataset: Dataset, keys: Iterable[str]) -> Iterator[tuple[Shard, np.ndarray]]:
    """Yield the shards that hold any of these keys, and in which rows."""
    wanted = _strings(keys)
    for shard in dataset.manifest.shards if len(wanted) else ():
        held = pc.is_in(dataset.read_index(shard, ["key"])["key"], value_set=wanted)
        if pc.any(held).as_py():
            yield shard, np.flatnonzero(held.to_numpy())


def _find_extra_captions(
    table: pa.Table, request: Request, found: Found, amended: dict[str, Amendment]
) -> None:
    """Amend the pairs that keep a caption which is meant beside their own."""
    if request.entries["caption"] and "extra_captions" in table.column_names:
        pairs = zip(table["key"].to_pylist(), table["extra_captions"].to_pylist(), strict=True)
        for key, captions in pairs:
            meant = {caption for caption in captions or () if request.names_caption(caption)}
            if meant and key not in found.keys:
                amended.setdefault(key, Amendment()).captions |= meant


def _keys_of_meant_copies(dataset: Dataset, request: Request) -> set[str]:
    keys = set[str]()
    for record in rejections_of(dataset):
        table = read_present(dataset.root / record.path, ["kept_key", *COLUMNS])
        keys.update(table.filter(pa.array(request.picture_mask(table)))["kept_key"].to_pylist())
    return {key for key in keys if key}


def _spare_captions_of_others(
    dataset: Dataset, found: Found, amended: dict[str, Amendment], request: Request
) -> None:
    """Leave a pair the captions that a copy has, too, which stays; but not those that are meant."""
    wanted = _strings(amended)
    for record in rejections_of(dataset):
        table = read_table(dataset.root / record.path, ["kept_key", "caption"])
        stays = pc.is_in(table["kept_key"], value_set=wanted).to_numpy().astype(bool)
        if record.path in found.rejected:
            stays = stays & ~found.rejected[record.path]
        for row in table.filter(pa.array(stays)).to_pylist():
            if not request.names_caption(row["caption"]):
                amended[row["kept_key"]].captions.discard(row["caption"])


def _place(found: Found, dataset: Dataset, amended: dict[str, Amendment]) -> None:
    """Say in which shards the amended pairs lie; those that are taken down, or said nothing, are left out."""
    for shard, rows in _shards_with(dataset, amended):
        names = ["key", "num_duplicates", "extra_captions"]
        for row in read_present(dataset.root / shard.index.path, names).take(rows).to_pylist():
            amendment = amended[row["key"]]
            says = row["num_duplicates"] or amendment.captions & set(row.get("extra_captions") or ())
            if row["key"] not in found.keys and says:
                found.amended.setdefault(shard.index.path, {})[row["key"]] = amendment


def _strings(values: Iterable[str]) -> pa.Array:
    return pa.array(sorted(values), pa.string())
