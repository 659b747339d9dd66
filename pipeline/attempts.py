"""One winner among several attempts at a unit whose bytes are not the same twice: of a fetch, or of a search.

A runner that has given up a worker gives its unit to another, while the first may still be alive and at work.
On this machine's disks a build knows its workers. In a store every attempt leaves its files under a name of
its own, and the rows, which one of them alone can create, say whose tar and rejections count.
"""

import uuid
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from manifests.storage import created, is_local, remove_file
from manifests.store import parquet_bytes, write_table
from pipeline.parts import REJECTIONS, WINNER, winner_of, write_part
from pipeline.records import Rejection, rejections_table


def new_attempt(folder: Path, unit: str) -> str:
    """Return the name under which an attempt leaves what belongs to a unit."""
    return unit if is_local(folder) else f"{unit}.{uuid.uuid4().hex[:16]}"


def write_once(
    folder: Path, unit: str, attempt: str, rows: pa.Table, rejections: Sequence[Rejection]
) -> bool:
    """Write the part of a unit whose other files are there; return whether it is this attempt's. Where
    another was first, this one's files are removed."""
    if is_local(folder):
        write_part(folder, unit, rows, rejections)
        return True
    write_table(folder / f"{attempt}{REJECTIONS}", rejections_table(rejections))
    path = folder / f"{unit}.parquet"
    told = parquet_bytes(rows.replace_schema_metadata({WINNER: attempt.encode()}))
    if created(path, told) or winner_of(path) == attempt:
        return True
    for ending in (REJECTIONS, ".tar"):
        remove_file(folder / f"{attempt}{ending}")
    return False
