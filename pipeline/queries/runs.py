"""Runs: sorted tables of partial counts on disk, and reading all of them bucket by bucket to add them up.

No stage holds more than ROWS_PER_MERGE rows, however large the corpus: what does not fit lies in files.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.store import write_table

NUM_BUCKETS = 65_536
ROWS_PER_MERGE = 2_000_000


@dataclass(frozen=True, slots=True)
class BucketRange:
    """The buckets from `first` to `last`, both included, of a number of runs."""

    first: int
    last: int

    @property
    def name(self) -> str:
        """The name of the part that is made of it; names sort as the buckets do."""
        return f"{self.first:05d}"


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Runs that are added up, range by range, into the parts of a phase."""

    runs: Sequence[Path]
    work: Callable[[BucketRange], pa.Table]
    out: Path

    def path(self, buckets: BucketRange) -> Path:
        """Return where the part of a range lies."""
        return self.out / f"{buckets.name}.parquet"

    def parts(self) -> list[Path]:
        """Return the parts in the order of the buckets."""
        return [self.path(buckets) for buckets in bucket_ranges(self.runs)]


def write_merged(buckets: BucketRange, merge: Merge) -> None:
    """Write the part of a range."""
    write_table(merge.path(buckets), merge.work(buckets))


def runs_of(folder: Path, kind: str) -> list[Path]:
    """Return the runs of a kind, in the order of their names."""
    return sorted(folder.glob(f"*.{kind}.run"))


def bucket_ranges(runs: Sequence[Path], rows_per_merge: int = ROWS_PER_MERGE) -> list[BucketRange]:
    """Cut the buckets into ranges of some `rows_per_merge` rows each."""
    num_rows = sum(pq.read_metadata(path).num_rows for path in runs)
    num_ranges = min(max(1, -(-num_rows // rows_per_merge)), NUM_BUCKETS)
    edges = [NUM_BUCKETS * number // num_ranges for number in range(num_ranges + 1)]
    return [BucketRange(first, end - 1) for first, end in pairwise(edges)]


def read_buckets(runs: Sequence[Path], buckets: BucketRange, schema: pa.Schema) -> pa.Table:
    """Return the rows of these buckets in all runs; of a run only the row groups that hold them are read."""
    limits = [("bucket", ">=", buckets.first), ("bucket", "<=", buckets.last)]
    tables = [pq.read_table(path, schema=schema, filters=limits, use_threads=False) for path in runs]
    return pa.concat_tables([schema.empty_table(), *tables])
