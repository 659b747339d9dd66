"""The bytes of a batch's pictures, from this machine's copies of their shards or from where those lie."""

from collections.abc import Sequence
from pathlib import Path

from manifests.storage import is_local, read_ranges
from train.rows import Row
from train.shard_cache import ShardCache


def read_pictures(rows: Sequence[Row], cache: ShardCache | None) -> list[bytes]:
    """Return the encoded picture of each row. What lies elsewhere is asked for at once."""
    found = [_copied(row, cache) for row in rows]
    for source in dict.fromkeys(row.source for row in rows):
        missing = [
            number for number, row in enumerate(rows) if row.source == source and found[number] is None
        ]
        for number, data in zip(
            missing, read_ranges([_place(rows[number]) for number in missing]), strict=True
        ):
            found[number] = data
    return [data for data in found if data is not None]


def _copied(row: Row, cache: ShardCache | None) -> bytes | None:
    if cache is None or is_local(row.tar.path):
        return None
    return cache.read(row.tar, row.offset, row.offset + row.num_bytes)


def _place(row: Row) -> tuple[Path, int, int]:
    return row.tar.path, row.offset, row.offset + row.num_bytes
