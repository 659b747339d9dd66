"""Pairs of any shards of finished datasets, in any order, as one new shard; no picture is decoded."""

from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa

from manifests.copying import END, Rows, Spans, copy_pairs, spans_of
from manifests.fetch_times import FOLDER, fetch_times_of, read_fetch_times
from manifests.hashing import HashedFile, write_table_hashed, written_hashed
from manifests.schema import INDEX_SCHEMA, FileRecord, Shard
from manifests.select import with_offsets
from manifests.storage import num_rows
from manifests.store import Dataset, record_file, write_table
from manifests.versions import as_current

MAX_OPEN_TARS = 64
NUM_TABLES = 3  # indexes in memory: neighbouring shards often come from the same one
ROW_BITS = np.uint64(32)  # of a position, behind the shard's number

Positions = np.ndarray[tuple[int], np.dtype[np.uint64]]


def positions_of(shard: int, rows: Rows) -> Positions:
    """Return where rows of a shard are: its number, then the row's, in one integer."""
    found: Positions = (np.uint64(shard) << ROW_BITS) | rows.astype(np.uint64)
    return found


class Gather:
    """Writes shards of pairs that lie in others, by their positions among those."""

    def __init__(self, dataset: Dataset, out: Path) -> None:
        self.dataset, self.out = dataset, out
        self.shards = dataset.manifest.shards
        self._index = lru_cache(NUM_TABLES)(self._read_index)

    def write(self, name: str, positions: Positions) -> tuple[Shard, list[FileRecord]]:
        """Write a shard of these pairs in their order, its index last; one that is there already is whole.
        Return its record and those of the tables beside its index."""
        tar, index = self.out / "shards" / f"{name}.tar", self.out / "index" / f"{name}.parquet"
        times = self.out / FOLDER / f"{name}.parquet"
        if not index.exists():
            rows = self._rows(positions)
            self._write_times(rows["key"], positions, times)
            with written_hashed(tar) as file:
                offsets = self._copy(positions, file)
                file.write(END)
            record = Shard(
                tar=file.record(f"shards/{name}.tar"),
                index=write_table_hashed(self.out, f"index/{name}.parquet", with_offsets(rows, offsets)),
                num_pairs=len(rows),
            )
        else:
            record = Shard(
                tar=record_file(self.out, tar), index=record_file(self.out, index), num_pairs=num_rows(index)
            )
        assert record.num_pairs == len(positions), (name, record.num_pairs, len(positions))
        return record, [record_file(self.out, times)] if times.exists() else []

    def _read_index(self, shard: int) -> pa.Table:
        return self.dataset.read_index(self.shards[shard])

    def _rows(self, positions: Positions) -> pa.Table:
        """Return the index rows of the pairs, in their order, in today's columns."""
        tables, places = [], []
        for shard, at in by_shard(positions):
            tables.append(self._index(shard).take(rows_in(positions[at])))
            places.append(at)
        found = pa.concat_tables([as_current(table, INDEX_SCHEMA) for table in tables])
        return found.take(np.argsort(np.concatenate(places)))

    def _write_times(self, keys: pa.ChunkedArray, positions: Positions, to: Path) -> None:
        found = [read_fetch_times(self.dataset.root, self.shards[shard]) for shard, _ in by_shard(positions)]
        tables = [table for table in found if table is not None]
        if tables:
            write_table(to, fetch_times_of(keys, tables))

    def _copy(self, positions: Positions, to: HashedFile) -> Rows:
        """Copy the pairs in their order, neighbours at once; return where their pictures lie."""
        shards, found = (positions >> ROW_BITS).astype(np.int64), [np.empty(0, np.int64)]
        with ExitStack() as stack:
            tars: dict[int, tuple[IO[bytes], Spans]] = {}
            for run in np.split(np.arange(len(positions)), np.flatnonzero(np.diff(shards)) + 1):
                shard = int(shards[run[0]])
                if shard not in tars:
                    if len(tars) == MAX_OPEN_TARS:
                        stack.pop_all().close()
                        tars.clear()
                    path = self.dataset.tar_path(self.shards[shard])
                    tars[shard] = stack.enter_context(path.open("rb")), spans_of(path, self._index(shard))
                found.append(copy_pairs(*tars[shard], rows_in(positions[run]), to))
        return np.concatenate(found)


def rows_in(positions: Positions) -> Rows:
    """Return the rows in their shards that positions stand for."""
    return (positions & ((np.uint64(1) << ROW_BITS) - np.uint64(1))).astype(np.int64)


def by_shard(positions: Positions) -> list[tuple[int, Rows]]:
    """Return for each shard, in order, which of the positions lie in it."""
    shards = (positions >> ROW_BITS).astype(np.int64)
    order = np.argsort(shards, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(shards[order])) + 1) if len(order) else []
    return [(int(shards[group[0]]), group) for group in groups]
