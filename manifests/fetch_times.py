"""When pictures were fetched: a table beside each shard's index, fetch_times/<shard>.parquet.

It is not part of the index, which is the same bytes in every build of the same inputs. Shards that an earlier
version wrote have none.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from manifests.schema import FETCH_TIME_SCHEMA, FileRecord, Shard
from manifests.storage import read_table
from manifests.store import record_file

FOLDER = "fetch_times"


def fetch_times_path(root: Path, shard: Shard) -> Path:
    """Return where the times of a shard lie, if there are any."""
    return root / FOLDER / Path(shard.index.path).name


def read_fetch_times(root: Path, shard: Shard) -> pa.Table | None:
    """Return the times of a shard (FETCH_TIME_SCHEMA, in its order); None where none were written."""
    path = fetch_times_path(root, shard)
    return read_table(path) if path.exists() else None


def fetch_times_of(keys: pa.ChunkedArray, sources: Iterable[pa.Table]) -> pa.Table:
    """Return the times of these keys in their order, looked up in tables of them; null where none has one."""
    known = pa.concat_tables([FETCH_TIME_SCHEMA.empty_table(), *sources]).combine_chunks()
    rows = pc.index_in(keys, value_set=known["key"].combine_chunks())
    return pa.table([keys, known["fetched_at"].take(rows)], schema=FETCH_TIME_SCHEMA)


def record_fetch_times(root: Path, shards: Iterable[Shard]) -> Iterator[FileRecord]:
    """Yield the records of the times that are there, for a manifest's `files`."""
    for shard in shards:
        path = fetch_times_path(root, shard)
        if path.exists():
            yield record_file(root, path)


def fetch_times_problem(root: Path, shard: Shard, keys: pa.ChunkedArray) -> str | None:
    """Return what is wrong with the times of a shard whose index has these keys, None where nothing is; also
    where there are no times. May raise OSError or ArrowException for a file that cannot be read."""
    times = read_fetch_times(root, shard)
    if times is None:
        return None
    if not times.schema.equals(FETCH_TIME_SCHEMA):
        return "has other columns than the format's"
    if not times["key"].equals(keys):
        return "its keys are not those of the index, in its order"
    return None
