"""A dataset as img2dataset would tell of it: one row for each pair that was tried, with its status words.

For tools that read img2dataset's tables. Pairs that were dropped after they had been fetched, as copies or
over a cap, are left out: it has no word for them. `exif` is null, since no metadata is kept.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.storage import read_table, written_whole
from manifests.store import open_dataset

SUCCESS = "success"
# The stages of our funnel at which a pair fails as it does there.
STATUS_OF = {"fetch": "failed_to_download", "image": "failed_to_resize"}
STATUS_SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("caption", pa.string()),
        ("key", pa.string()),  # null where there is no picture
        ("status", pa.string()),
        ("error_message", pa.string()),  # our reason and its measurement; null for success
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("original_width", pa.int32()),
        ("original_height", pa.int32()),
        ("exif", pa.string()),
        ("sha256", pa.string()),
    ]
)


def status_tables(root: Path) -> Iterator[pa.Table]:
    """Yield tables of STATUS_SCHEMA, first what is kept and then what failed. Raises DatasetError where there
    is no dataset."""
    dataset = open_dataset(root)
    for shard in dataset.manifest.shards:
        yield _table(dataset.read_index(shard), {"status": SUCCESS})
    for file in dataset.manifest.files:
        if file.path.startswith("rejections/"):
            rejections = read_table(root / file.path)
            for stage, status in STATUS_OF.items():
                failed = rejections.filter(pc.equal(rejections["stage"], stage))
                message = pc.binary_join_element_wise(failed["reason"], failed["detail"], ": ")
                yield _table(failed.append_column("error_message", message), {"status": status})


def write_status(root: Path, out: Path) -> int:
    """Write the rows to a parquet file, whole or not at all; return their number."""
    num_rows = 0
    with written_whole(out) as temporary, pq.ParquetWriter(temporary, STATUS_SCHEMA) as writer:
        for table in status_tables(root):
            writer.write_table(table)
            num_rows += len(table)
    return num_rows


def _table(rows: pa.Table, same: dict[str, Any]) -> pa.Table:
    """Return the rows with these columns: one value for all where `same` has one, nulls where none is."""
    columns = [
        pa.repeat(pa.scalar(same[field.name], field.type), len(rows))
        if field.name in same
        else rows[field.name].combine_chunks()
        if field.name in rows.column_names
        else pa.nulls(len(rows), field.type)
        for field in STATUS_SCHEMA
    ]
    return pa.table(columns, schema=STATUS_SCHEMA)
