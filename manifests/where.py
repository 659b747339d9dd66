"""A condition on the rows of an index, in DuckDB's SQL (the extra sql)."""

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.schema import INDEX_SCHEMA
from manifests.storage import read_schema, read_table


class Where:
    """A condition such as "width >= 256 and language = 'en'"; what is null of it is false.

    Of a table only the columns are read that it names. It may not look at other rows: no subqueries, no
    aggregates.
    """

    def __init__(self, sql: str) -> None:
        """Raise ValueError for what is no condition on an index's columns, or where DuckDB is not there."""
        self.sql = sql
        self.columns = _columns_of(sql, self._connection)
        empty = pa.table({name: pa.array([], INDEX_SCHEMA.field(name).type) for name in self.columns})
        self.mask(empty)  # its types, too, are right

    def mask_of(self, path: Path) -> NDArray[np.bool_]:
        """Return bool (N,): the rows of an index on which the condition is true."""
        return self.mask(read_columns(path, self.columns))

    def mask(self, table: pa.Table) -> NDArray[np.bool_]:
        """Return bool (N,): the rows of a table of its columns on which the condition is true."""
        import duckdb

        try:
            self._connection.register("pairs", table)
            query = f"select coalesce(({self.sql}), false) as chosen from pairs"
            found = self._connection.execute(query)
            kind, chosen = str(found.description[0][1]), found.fetchnumpy()["chosen"]
        except duckdb.Error as error:
            raise ValueError(f"where {self.sql!r}: {str(error).splitlines()[0]}") from error
        if kind.upper() not in ("BOOL", "BOOLEAN"):
            raise ValueError(
                f"where {self.sql!r} is no condition but of type {kind}: compare it with something"
            )
        if len(chosen) != len(table):
            raise ValueError(f"where {self.sql!r} is about several rows: give a condition on one")
        return np.asarray(chosen, dtype=bool)

    @cached_property
    def _connection(self) -> Any:
        try:
            import duckdb
        except ImportError as error:
            raise ValueError(
                f"where {self.sql!r} needs DuckDB. Next: pip install 'openwit[sql]', or choose by --ids"
            ) from error
        # No files, no variables of this program: the condition sees the rows alone.
        connection = duckdb.connect()
        for limit in ("threads = 1", "python_enable_replacements = false", "enable_external_access = false"):
            connection.execute(f"set {limit}")
        return connection


def read_columns(path: Path, names: list[str]) -> pa.Table:
    """Return columns of an index; those that an earlier version did not write are nulls."""
    there = set(read_schema(path).names)
    table = read_table(path, [name for name in names if name in there] or ["key"])
    columns = {
        name: table[name] if name in there else pa.nulls(len(table), INDEX_SCHEMA.field(name).type)
        for name in names
    }
    return pa.table(columns)


def _columns_of(sql: str, connection: Any) -> list[str]:
    """Return the columns that a condition names; `key` where it names none."""
    said = connection.execute("select json_serialize_sql(?)", [f"select ({sql}) from pairs"]).fetchone()[0]
    parsed = json.loads(said)
    if parsed["error"] and parsed["error_type"] == "parser":
        raise ValueError(f"where {sql!r}: {parsed['error_message']}")
    statements = parsed.get("statements", ())
    node = statements[0]["node"] if len(statements) == 1 else {}
    if len(node.get("select_list", ())) != 1 or node["from_table"].get("table_name") != "pairs":
        raise ValueError(f"where {sql!r} is more than one condition: join conditions with and, or")
    found = list(_nodes(node["select_list"]))
    if any(each.get("class") in ("SUBQUERY", "WINDOW") for each in found):
        raise ValueError(f"where {sql!r} is about several rows: give a condition on one")
    # pairs.width and scores.clip have two names, of which one is a column's.
    names = [name for each in found for name in each.get("column_names", ())]
    columns = [name for name in INDEX_SCHEMA.names if name in {name.lower() for name in names}]
    return columns or ["key"]


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    for child in children:
        yield from _nodes(child)
