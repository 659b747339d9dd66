"""Which shards a report reads: all of a small dataset, a fair sample of a large one."""

from dataclasses import dataclass

import pyarrow as pa

from manifests.report.page import number, share
from manifests.schema import INDEX_SCHEMA, Manifest, Shard
from manifests.storage import open_parquet
from manifests.store import Dataset

MAX_PAIRS = 1_000_000  # a report is read in minutes; shares of a million pairs are exact to 0.1 %

# What is counted or shown; the other columns, such as headers of the download, are not read.
COLUMNS = (
    *("key", "offset", "num_bytes", "caption", "url", "page_url", "source", "licence", "caption_origin"),
    *("query_ids", "language", "language_score", "original_width", "original_height", "colours"),
    *("num_duplicates", "scores"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The shards that are read, and of how many pairs they are a part."""

    shards: tuple[Shard, ...]
    of_shards: int
    of_pairs: int

    @property
    def num_pairs(self) -> int:
        """Return how many pairs are read."""
        return sum(shard.num_pairs for shard in self.shards)

    @property
    def is_whole(self) -> bool:
        """Return whether nothing is left out."""
        return len(self.shards) == self.of_shards

    @property
    def basis(self) -> str:
        """Return the sentence that says what the figures are estimated from; nothing where they are exact."""
        if self.is_whole:
            return ""
        return (
            f"Estimated from {number(self.num_pairs)} of {number(self.of_pairs)} pairs "
            f"({share(self.num_pairs, self.of_pairs)}), those of {number(len(self.shards))} of "
            f"{number(self.of_shards)} shards. Counts are of these pairs; shares hold for all."
        )


def sample_shards(manifest: Manifest, max_pairs: int = MAX_PAIRS) -> Sample:
    """Return all shards, or of a dataset of more pairs than `max_pairs` some at equal distances.

    Within a build the order of pairs is by hash, so any shard is a fair sample of it; equal distances take
    from later additions, whose shards follow, as much as is due to them.
    """
    shards = manifest.shards
    if manifest.num_pairs > max_pairs:
        wanted = max(1, len(shards) * max_pairs // manifest.num_pairs)
        shards = tuple(shards[(2 * place + 1) * len(shards) // (2 * wanted)] for place in range(wanted))
    return Sample(shards=shards, of_shards=len(manifest.shards), of_pairs=manifest.num_pairs)


def read_shown(dataset: Dataset, shard: Shard) -> pa.Table:
    """Return COLUMNS of a shard's index; those that an earlier version did not write are null."""
    with open_parquet(dataset.root / shard.index.path) as file:
        table = file.read([name for name in COLUMNS if name in file.schema_arrow.names])
    for name in COLUMNS:
        if name not in table.column_names:
            kind = INDEX_SCHEMA.field(name).type
            table = table.append_column(name, pa.nulls(len(table), kind))
    return table
