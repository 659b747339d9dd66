"""Words of a corpus: partial counts added up, and looked up by their hashes."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.queries.counts import WORD_RUN
from pipeline.queries.runs import BucketRange, read_buckets

WORD_SCHEMA = pa.schema([field for field in WORD_RUN if field.name != "bucket"])


def merge_words(runs: Sequence[Path], buckets: BucketRange, min_count: int) -> pa.Table:
    """Return the words of these buckets seen at least `min_count` times (WORD_SCHEMA, rising by hash)."""
    rows = read_buckets(runs, buckets, WORD_RUN)
    total = rows.group_by(["word_hash", "word"], use_threads=False).aggregate([("count", "sum")])
    num_hashes = pc.count_distinct(total["word_hash"]).as_py()
    assert num_hashes == len(total), f"two words share a hash in bucket {buckets.name}"
    total = total.rename_columns({"count_sum": "count"}).select(WORD_SCHEMA.names).cast(WORD_SCHEMA)
    return total.filter(pc.field("count") >= min_count).sort_by("word_hash")


class WordCounts:
    """How often each word was seen, found by hash."""

    def __init__(self, parts: Sequence[Path]) -> None:
        """Read merged parts; in the order of their names they rise by hash."""
        tables = [pq.read_table(path, columns=["word_hash", "count"]) for path in parts]
        table = pa.concat_tables([pa.schema(list(WORD_SCHEMA)[::2]).empty_table(), *tables])
        self._hashes, self._counts = table["word_hash"].to_numpy(), table["count"].to_numpy()

    def of(self, hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return int64 (N,), the count of each word; every one must be known."""
        places = np.searchsorted(self._hashes, hashes)
        assert (self._hashes[places] == hashes).all(), "a bigram holds a word that was not counted"
        counts: npt.NDArray[np.int64] = self._counts[places]
        return counts


def words_by_hash(parts: Sequence[Path], hashes: npt.NDArray[np.uint64]) -> dict[int, str]:
    """Return the word of each hash."""
    wanted = pa.array(np.unique(hashes))
    found: dict[int, str] = {}
    for path in parts:
        table = pq.read_table(path, columns=["word_hash", "word"])
        table = table.filter(pc.is_in(table["word_hash"], wanted))
        found.update(zip(table["word_hash"].to_pylist(), table["word"].to_pylist(), strict=True))
    return found
