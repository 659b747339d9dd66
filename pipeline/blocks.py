"""Tables through a shuffle: rows are cut into blocks by a hash and cross as Arrow bytes, not one by one.

A GroupByKey of pickled rows costs some 8 us and 500 bytes of memory a row on the in-process runner; in
blocks it costs a tenth (docs/DECISIONS.md). Keys are small ints, values are bytes: portable to any runner.
"""

from collections.abc import Iterable, Iterator
from itertools import pairwise

import apache_beam as beam
import numpy as np
import pyarrow as pa

ROWS_PER_BUCKET = 50_000
# Larger blocks are compressed, to a third or less at 1 us a row. Small ones would only be slower.
MIN_COMPRESSED_BYTES = 64_000


def num_buckets_for(num_rows: int) -> int:
    """Return how many buckets keep each near ROWS_PER_BUCKET rows: a function of the input alone, so that
    the same input gives the same files whatever the number of workers."""
    return max(1, -(-num_rows // ROWS_PER_BUCKET))


def pack(table: pa.Table) -> bytes:
    """Serialise a table as one Arrow IPC stream, compressed where it is large: a runner on one machine holds
    all blocks of a shuffle."""
    sink = pa.BufferOutputStream()
    compression = "zstd" if table.nbytes >= MIN_COMPRESSED_BYTES else None
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def unpack(blocks: Iterable[bytes], sort_by: str) -> pa.Table:
    """Join blocks into one table, sorted: the order in which a shuffle hands them over is not defined."""
    table = pa.concat_tables([pa.ipc.open_stream(block).read_all() for block in blocks])
    return table.sort_by(sort_by)


def split(table: pa.Table, buckets: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Yield (bucket, block) for the rows of each bucket; `buckets` is int (N,), one per row."""
    order = np.argsort(buckets, kind="stable")
    values, starts = np.unique(buckets[order], return_index=True)
    edges = np.append(starts, len(order))
    for value, (start, end) in zip(values, pairwise(edges), strict=True):
        yield int(value), pack(table.take(pa.array(order[start:end])))


def bucket_of_hex(ids: pa.ChunkedArray, num_buckets: int) -> np.ndarray:
    """Return int64 (N,) buckets in the order of the ids (hex strings): bucket 0 holds the smallest ids."""
    prefixes = np.array([int(value[:8], 16) for value in ids.to_pylist()], dtype=np.int64)
    return prefixes * num_buckets >> 32


def mix64(hashes: np.ndarray) -> np.ndarray:
    """Spread uint64 values whose low bits may be alike (the finaliser of MurmurHash3)."""
    mixed = hashes.astype(np.uint64)
    with np.errstate(over="ignore"):
        for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
            mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(factor)
    return mixed ^ (mixed >> np.uint64(33))


class GroupBlocks(beam.PTransform):
    """(bucket, block) -> (bucket, blocks): the only shuffle in a build."""

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        return blocks | beam.GroupByKey()
