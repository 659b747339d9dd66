"""Blocks of rows through a shuffle: what goes in comes out, and large ones take less room."""

import numpy as np
import pyarrow as pa

from pipeline.blocks import MIN_COMPRESSED_BYTES, pack, split, unpack

NUM_ROWS = 5_000


def table() -> pa.Table:
    """Rows as a build has them: addresses that are alike, hashes that are not, lists and nulls."""
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "url": [f"https://host{n % 99}.example.org/photo-{n:06}.jpg" for n in range(NUM_ROWS)],
            "hash": pa.array(rng.integers(0, 2**64, NUM_ROWS, dtype=np.uint64)),
            "query_ids": [[n % 7, n % 11] if n % 3 else None for n in range(NUM_ROWS)],
        }
    )


def test_blocks_of_any_size_come_back_as_they_were() -> None:
    whole = table()
    buckets = np.arange(NUM_ROWS) % 3
    small = [block for first in range(0, 100, 10) for _, block in split(whole.slice(first, 10), buckets[:10])]
    assert unpack(small, sort_by="url") == whole.slice(0, 100).sort_by("url")
    large = [block for _, block in split(whole, buckets)]
    assert unpack([*large[::-1]], sort_by="url") == whole.sort_by("url")


def test_large_blocks_are_compressed_and_small_ones_are_not() -> None:
    whole = table()
    assert whole.nbytes > MIN_COMPRESSED_BYTES > whole.slice(0, 100).nbytes
    assert len(pack(whole)) < whole.nbytes / 2
    assert len(pack(whole.slice(0, 100))) >= whole.slice(0, 100).nbytes
