"""What all phases have dropped, gathered for the dataset: tables of rejections, samples and counts of them.

These are more rows than all others, since most candidates are dropped. Each table is written by a worker,
which counts it and takes samples of it; what is left to put together grows with the number of tables alone.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import apache_beam as beam
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.sampling import priority
from manifests.hashing import write_table_hashed
from manifests.schema import REJECTION_SCHEMA, SAMPLE_SCHEMA, SAMPLES_PER_REASON, FileRecord
from manifests.storage import Anywhere, for_each, make_folder, num_rows, read_table, remove_folder
from manifests.store import write_bytes, write_table
from pipeline.parts import count_rejections, parts_in

ROWS_PER_TABLE = 1_000_000
ROWS_AT_ONCE = 50_000  # of which samples are taken

Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The files whose rows become one table of rejections."""

    name: str
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is known of one table: its record, and how many of its rows have each (stage, reason)."""

    file: FileRecord
    counts: list[tuple[str, str, int]]


def batches_of(files: Sequence[Path], rows_per_table: int, first: int = 0) -> list[Batch]:
    """Cut files of rejections, in their order, into tables of at least so many rows, the first `first`."""
    batches: list[Batch] = []
    batch, num = list[Path](), 0
    numbers = for_each(num_rows, files, files[0]) if files else iter(())
    for file, number in zip(files, numbers, strict=True):
        batch.append(file)
        num += number
        if num >= rows_per_table or file is files[-1]:
            batches.append(Batch(f"{first + len(batches):05d}", tuple(batch)))
            batch, num = [], 0
    return batches


def gather(
    files: Sequence[Path], dataset: Path, out: Path, run: Callable[[beam.PTransform], None], first: int = 0
) -> tuple[list[FileRecord], Counts, list[Path]]:
    """Write the tables of rejections, numbered from `first`; return their records, how many of their rows
    have each (stage, reason), and tables of samples. `out` holds what is put together; it is emptied before.
    """
    remove_folder(out)
    make_folder(out)
    batches = batches_of(files, ROWS_PER_TABLE, first)
    if len(batches) > 1:
        run(GatherRejections(batches, dataset, out))
    elif batches:  # a single one is shared with nobody
        gather_rejections(batches[0], dataset, out)
    return _read_gathered(out)


class GatherRejections(beam.PTransform):
    """Batches -> rejections/<name>.parquet of the dataset; samples and counts of each table in `out`."""

    def __init__(self, batches: Sequence[Batch], dataset: Path, out: Path) -> None:
        super().__init__()
        self.batches, self.places = batches, {"dataset": dataset, "out": out}

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        gather = beam.Map(gather_rejections, **self.places)
        return begin | "each table" >> beam.Create(self.batches) | "gather" >> gather


def gather_rejections(batch: Batch, dataset: Anywhere, out: Anywhere) -> str:
    """Write one table of rejections, its samples and what is known of it."""
    rows = pa.concat_tables(read_table(path, REJECTION_SCHEMA.names) for path in batch.files)
    file = write_table_hashed(dataset, f"rejections/{batch.name}.parquet", rows)
    write_table(out / f"{batch.name}.parquet", samples_of(batch.files))
    counts = [(*key, number) for key, number in sorted(count_rejections(batch.files).items())]
    write_bytes(out / f"{batch.name}.json", msgspec.json.encode(Gathered(file, counts)))
    return batch.name


def _read_gathered(out: Path) -> tuple[list[FileRecord], Counts, list[Path]]:
    counts, records, parts = Counts(), list[FileRecord](), parts_in(out)
    for part in parts:
        gathered = msgspec.json.decode((out / f"{part.name}.json").read_bytes(), type=Gathered)
        records.append(gathered.file)
        counts.update({(stage, reason): number for stage, reason, number in gathered.counts})
    return records, counts, [part.path for part in parts]


def samples_of(files: Sequence[Path]) -> pa.Table:
    """Return at most SAMPLES_PER_REASON rows of each stage and reason, as SAMPLE_SCHEMA: the first by hash,
    those with a picture before those without."""
    tables = [SAMPLE_SCHEMA.empty_table()]
    for file in files:
        tables.append(read_table(file, SAMPLE_SCHEMA.names))
        if sum(map(len, tables)) > ROWS_AT_ONCE:
            tables = [_best(pa.concat_tables(tables))]
    return _best(pa.concat_tables(tables))


def _best(table: pa.Table) -> pa.Table:
    texts = zip(table["url"].to_pylist(), table["caption"].to_pylist(), strict=True)
    hashes = np.array([priority(f"{url}\n{caption}", "sample") for url, caption in texts], dtype=np.uint64)
    bare = pc.is_null(table["thumbnail"]).to_numpy()
    # A stable sort: of equal ones the first stays, whatever the files.
    names = pc.binary_join_element_wise(table["stage"], table["reason"], "\n")
    kinds, codes = np.unique(names.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    order = np.lexsort((hashes, bare, codes))
    starts = np.searchsorted(codes[order], np.arange(len(kinds)))
    place = np.arange(len(order)) - starts[codes[order]]
    return table.take(pa.array(order[place < SAMPLES_PER_REASON]))
