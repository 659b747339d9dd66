"""What a data card counts in the index: all of a small dataset, a fair sample of a large one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.report.sampling import Sample, sample_shards
from manifests.storage import open_parquet
from manifests.store import Dataset

HOST = r"^https?://(?:[^/?#@]*@)?(?P<host>[^/:?#]+)"
# A column whose values are counted as they are, by what the card calls it.
COUNTED = ("source", "language", "licence", "caption_origin", "robots", "opt_out")
MEASURED = ("width", "height", "original_width", "original_height", "num_bytes")


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts of the pairs that were read. A value of None counts those without one."""

    sample: Sample
    hosts: Counter[str | None] = field(default_factory=Counter)
    counts: Mapping[str, Counter[str | None]]  # by column, of COUNTED; of those that are in the index
    medians: Mapping[str, int]  # by column, of MEASURED
    num_copies: int  # dropped copies, which the pairs stand for


def count_pairs(dataset: Dataset) -> Figures:
    """Return the figures of a dataset, one shard in memory at a time."""
    sample, hosts, num_copies = sample_shards(dataset.manifest), Counter[str | None](), 0
    counts: dict[str, Counter[str | None]] = {}
    values: dict[str, Counter[int]] = {}
    for shard in sample.shards:
        with open_parquet(dataset.root / shard.index.path) as file:
            wanted = {"url", "num_duplicates", *COUNTED, *MEASURED}
            table = file.read([name for name in file.schema_arrow.names if name in wanted])
        hosts.update(_values(pc.struct_field(pc.extract_regex(table["url"], HOST), "host")))
        num_copies += pc.sum(table["num_duplicates"]).as_py() or 0
        for name in table.column_names:
            if name in COUNTED:
                counts.setdefault(name, Counter()).update(_values(table[name]))
            elif name in MEASURED:
                values.setdefault(name, Counter()).update(_values(table[name]))
    medians = {name: _median(counter) for name, counter in values.items() if counter}
    return Figures(sample=sample, hosts=hosts, counts=counts, medians=medians, num_copies=num_copies)


def _values(column: pa.ChunkedArray) -> dict[Any, int]:
    counted = pc.value_counts(column)
    return dict(zip(counted.field("values").to_pylist(), counted.field("counts").to_pylist(), strict=True))


def _median(counter: Counter[int]) -> int:
    """Return the middle value, the lower of two; nulls aside."""
    known = sorted((value, count) for value, count in counter.items() if value is not None)
    half, seen = (sum(count for _, count in known) + 1) // 2, 0
    for value, count in known:
        seen += count
        if seen >= half:
            return value
    return 0
