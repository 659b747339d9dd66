"""Rejections of which nothing is left but that they were: stage, reason and source stay, so that the funnel
can still be counted from them."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.schema import REJECTION_SCHEMA, FileRecord
from manifests.storage import read_table
from manifests.store import Dataset, record_file, write_table
from manifests.takedown.find import Found, rejections_of
from manifests.takedown.request import Mask

STAGE, REASON = "takedown", "taken_down"
_STAYING = ("stage", "reason", "source")
_BLANK = {"detail": "taken down", "url": "", "caption": ""}  # what else there is becomes null


def write_rejections(dataset: Dataset, found: Found, staged: Path) -> list[FileRecord]:
    """Write the tables that lose something, and one with a row for each pair that was taken down."""
    for path, marked in found.rejected.items():
        write_table(staged / path, blank_where(read_table(dataset.root / path), marked))
    paths = [*found.rejected]
    if found.num_pairs:
        last = max((int(Path(file.path).stem) for file in rejections_of(dataset)), default=-1)
        paths.append(f"rejections/{last + 1:05d}.parquet")
        row = (
            dict.fromkeys(REJECTION_SCHEMA.names) | _BLANK | {"stage": STAGE, "reason": REASON, "source": ""}
        )
        write_table(staged / paths[-1], pa.Table.from_pylist([row] * found.num_pairs, REJECTION_SCHEMA))
    return [record_file(staged, staged / path) for path in paths]


def blank_where(table: pa.Table, marked: Mask) -> pa.Table:
    """Return rejections, those that are marked blank; they keep their places."""
    # A blank row stands behind the others and is taken in the place of each that is marked.
    places = pa.array(np.where(marked, len(table), np.arange(len(table))))
    columns = []
    for field in table.schema:
        column = table[field.name]
        if field.name not in _STAYING:
            blank = pa.array([_BLANK.get(field.name)], field.type)
            column = pa.chunked_array([*column.chunks, blank]).take(places)
        columns.append(column)
    return pa.table(columns, schema=table.schema)
