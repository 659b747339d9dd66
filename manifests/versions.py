"""Tables as earlier versions wrote them: columns that came later, types that were others.

What each version has, docs/format.md says. Who wants today's columns of any dataset asks `as_current`.
"""

from pathlib import Path

import pyarrow as pa

from manifests.schema import (
    ADDED_COLUMNS,
    COVERAGE_SCHEMA,
    FETCH_TIME_SCHEMA,
    INDEX_SCHEMA,
    OF_COPIES,
    OF_TRIED_PAIRS,
    QUERY_SCHEMA,
    REJECTION_SCHEMA,
    SAMPLE_SCHEMA,
)
from manifests.storage import read_table

_OF_REJECTIONS = frozenset((*OF_TRIED_PAIRS, *OF_COPIES, "expected_hash", "distance"))
# What a table of an earlier version may lack.
_LATER = (
    (INDEX_SCHEMA, frozenset(ADDED_COLUMNS)),
    (REJECTION_SCHEMA, _OF_REJECTIONS),
    (SAMPLE_SCHEMA, _OF_REJECTIONS),
    (QUERY_SCHEMA, frozenset(("num_tried", "keep_probability"))),
    (FETCH_TIME_SCHEMA, frozenset[str]()),
)
_EARLIER_TYPES = {"found_by": pa.string()}  # one search, before all of them were kept


def is_of(schema: pa.Schema, found: pa.Schema) -> bool:
    """Return whether `found` are the columns of a table of today's `schema`, by this version or by an earlier
    one: in their order, none missing but what came later."""
    names = [name for name in schema.names if name in found.names or name not in _later(schema)]
    return found.names == names and all(
        found.field(name).type in (schema.field(name).type, _EARLIER_TYPES.get(name)) for name in names
    )


def as_current(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table of any version with exactly the columns of today's `schema`; those that its version did
    not write are null. Raises ValueError where it lacks one that every version has."""
    if missing := set(schema.names) - set(table.column_names) - _later(schema):
        raise ValueError(f"the table lacks {', '.join(sorted(missing))}: it is of no version of the format")
    columns = [
        _cast(table[field.name], field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def read_queries(root: Path) -> pa.Table:
    """Return a dataset's search terms (QUERY_SCHEMA); the first version did not count what was tried."""
    return as_current(read_table(root / "queries.parquet"), QUERY_SCHEMA)


def read_coverage(root: Path) -> pa.Table:
    """Return a dataset's coverage (COVERAGE_SCHEMA), no rows where the first version has written none."""
    path = root / "coverage.parquet"
    return read_table(path) if path.exists() else COVERAGE_SCHEMA.empty_table()


def _later(schema: pa.Schema) -> frozenset[str]:
    return next(later for known, later in _LATER if known is schema)


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column in today's type; one search as a list of one."""
    if pa.types.is_list(kind) and pa.types.is_string(column.type):
        return pa.chunked_array([[each and [each] for each in column.to_pylist()]], type=kind)
    return column.cast(kind)
