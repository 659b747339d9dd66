"""The rows of a dataset in the order of its epochs, of which a window is in memory and the next is read."""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from manifests.schema import Shard
from manifests.storage import is_local, open_parquet
from manifests.store import Dataset
from train.cache_folder import Source
from train.order import Window, shuffled, windows
from train.shard_cache import ShardCache

_COLUMNS = ["key", "offset", "num_bytes", "caption"]
_EXTRA = "extra_captions"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A pair in one epoch of its dataset."""

    epoch: int
    source: str  # the name of its dataset where there are several
    key: str
    captions: tuple[str, ...]  # one, or also those of copies that were dropped
    tar: Source
    offset: int
    num_bytes: int

    @property
    def name(self) -> str:
        """Return by what the pair is known to people."""
        return f"{self.source}/{self.key}" if self.source else self.key


class EpochRows:
    """All epochs of a dataset one after the other: place p is pair p % num_pairs of epoch p // num_pairs."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        seed: int,
        max_window_pairs: int,
        extra_captions: bool,
        name: str = "",
        cache: ShardCache | None = None,
    ) -> None:
        self._dataset, self._seed, self._extra_captions = dataset, seed, extra_captions
        self._name = name  # where there are several
        self._cache = None if is_local(dataset.root) else cache
        self._tar = lru_cache(10_000)(self._tar_of)
        self._shards = dataset.manifest.shards
        sizes = [shard.num_pairs for shard in self._shards]
        self._first_rows = np.cumsum([0, *sizes])
        self.num_pairs = sum(sizes)
        self._windows = lru_cache(2)(lambda epoch: windows(sizes, seed, epoch, max_window_pairs))
        # One thread, so that windows are loaded in the order in which they are asked for.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="index")
        self._loaded: OrderedDict[tuple[int, int], Future[_Loaded]] = OrderedDict()
        self._table: tuple[tuple[int, ...], pa.Table] = ((), None)

    def at(self, places: range) -> list[Row]:
        """Return the rows of consecutive places."""
        found: list[Row] = []
        while len(found) < len(places):
            epoch, place = divmod(places[len(found)], self.num_pairs)
            of_epoch = self._windows(epoch)
            number = _window_of(of_epoch, place)
            window, start = of_epoch[number], place - of_epoch[number].first
            stop = min(window.num_pairs, start + len(places) - len(found))
            loaded = self._load(epoch, number).result()
            self._load(*((epoch, number + 1) if number + 1 < len(of_epoch) else (epoch + 1, 0)))
            found += [self._row(epoch, row) for row in loaded.rows(start, stop)]
        return found

    def _load(self, epoch: int, number: int) -> "Future[_Loaded]":
        """Return a window that is loaded, or will be; all but it and the one before it are let go."""
        if (epoch, number) not in self._loaded:
            window = self._windows(epoch)[number]
            self._loaded[epoch, number] = self._thread.submit(self._read, epoch, window)
            self._want()
        self._loaded.move_to_end((epoch, number))
        while len(self._loaded) > 2:
            self._loaded.popitem(last=False)
        return self._loaded[epoch, number]

    def _want(self) -> None:
        """Have the shards fetched of the window that is read now and of the next."""
        if self._cache:
            shards = [self._windows(epoch)[number].shards for epoch, number in list(self._loaded)[-2:]]
            self._cache.want(id(self), [self._tar(shard) for window in shards for shard in window])

    def _tar_of(self, number: int) -> Source:
        shard = self._shards[number]
        # Tars without a manifest of their own have a name in place of a hash.
        is_hashed = self._dataset.manifest.code_version != ""
        return Source(path=self._dataset.tar_path(shard), record=shard.tar, is_hashed=is_hashed)

    def _read(self, epoch: int, window: Window) -> "_Loaded":
        if self._table[0] != window.shards:
            self._table = ((), None)  # before the next is read, so that there are never three
            tables = [self._read_shard(self._shards[shard], shard) for shard in window.shards]
            self._table = (window.shards, pa.concat_tables(tables).combine_chunks())
        numbers = [np.arange(*self._first_rows[shard : shard + 2]) for shard in window.shards]
        order = shuffled(np.concatenate(numbers).astype(np.uint64), self._seed, epoch)
        return _Loaded(table=self._table[1], order=order)

    def _read_shard(self, shard: Shard, number: int) -> pa.Table:
        path = self._dataset.index_path(shard)
        cache = None if is_local(path) else self._cache
        index = cache.whole(Source(path=path, record=shard.index)) if cache else None
        with open_parquet(path) if index is None else pq.ParquetFile(pa.BufferReader(index)) as file:
            columns = list(_COLUMNS)
            if self._extra_captions and _EXTRA in file.schema_arrow.names:
                columns.append(_EXTRA)
            table = file.read(columns=columns).select(columns)
        if self._extra_captions and _EXTRA not in columns:  # a dataset of an early version
            table = table.append_column(_EXTRA, pa.nulls(len(table), pa.list_(pa.string())))
        return table.append_column("shard", pa.array(np.full(len(table), number, np.int32)))

    def _row(self, epoch: int, row: dict[str, Any]) -> Row:
        return Row(
            epoch=epoch,
            source=self._name,
            key=row["key"],
            captions=(row["caption"], *(row.get(_EXTRA) or ())),
            tar=self._tar(row["shard"]),
            offset=row["offset"],
            num_bytes=row["num_bytes"],
        )


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    table: pa.Table
    order: NDArray[np.int64]

    def rows(self, start: int, stop: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.table.take(pa.array(self.order[start:stop])).to_pylist()
        return found


def _window_of(of_epoch: list[Window], place: int) -> int:
    return int(np.searchsorted([window.first for window in of_epoch], place, side="right")) - 1
