"""What the search terms of a dataset have left, when some of its pairs are taken out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.schema import COVERAGE_SCHEMA, QUERY_SCHEMA
from manifests.store import Dataset, write_table
from manifests.versions import read_coverage, read_queries


def hits(rows: pa.Table) -> Counter[tuple[int, str]]:
    """Return how many rows have each (term, source)."""
    pairs = rows.select(["query_ids", "source"]).to_pylist()
    return Counter((query_id, row["source"]) for row in pairs for query_id in row["query_ids"] or ())


class Tally:
    """How many rows have each (term, source): `hits` of many tables, a number for each term and source."""

    def __init__(self) -> None:
        self._counts: dict[str, NDArray[np.int64]] = {}

    def add(self, rows: pa.Table) -> None:
        """Count the rows of a table."""
        for source in pc.unique(rows["source"]).to_pylist():
            query_ids = rows.filter(pc.equal(rows["source"], source))["query_ids"]
            found = np.bincount(pc.list_flatten(query_ids).to_numpy())
            before = self._counts.get(source, np.empty(0, np.int64))
            room = max(len(found), len(before))
            self._counts[source] = np.pad(before, (0, room - len(before)))
            self._counts[source][: len(found)] += found

    def counter(self) -> Counter[tuple[int, str]]:
        """Return the counts that are not zero."""
        return Counter(
            {
                (query_id, source): count
                for source, counts in self._counts.items()
                for query_id, count in enumerate(counts.tolist())
                if count
            }
        )


def counts_without(source: Dataset, lost: Counter[tuple[int, str]]) -> tuple[pa.Table, pa.Table]:
    """Return the search terms and the coverage of a dataset, less what its terms have lost."""
    queries = read_queries(source.root)
    of_term, of_origin = Counter[int](), Counter[tuple[str, str]]()
    origins = dict(zip(queries["query_id"].to_pylist(), queries["origin"].to_pylist(), strict=True))
    for (query_id, place), count in lost.items():
        of_term[query_id] += count
        of_origin[origins[query_id], place] += count
    coverage = read_coverage(source.root)
    rows = coverage.select(["origin", "source"]).to_pylist()
    counts = [of_origin[row["origin"], row["source"]] for row in rows]
    lost_by_term = [of_term[query_id] for query_id in queries["query_id"].to_pylist()]
    return _less(queries, lost_by_term, QUERY_SCHEMA), _less(coverage, counts, COVERAGE_SCHEMA)


def write_counts(source: Dataset, lost: Counter[tuple[int, str]], out: Path) -> None:
    """Write queries.parquet and coverage.parquet, less what the terms have lost."""
    queries, coverage = counts_without(source, lost)
    write_table(out / "queries.parquet", queries)
    write_table(out / "coverage.parquet", coverage)


def _less(table: pa.Table, counts: list[int], schema: pa.Schema) -> pa.Table:
    place = table.schema.get_field_index("num_kept")
    left = pc.subtract(table["num_kept"], pa.array(counts, pa.int64()))
    return table.set_column(place, schema.field("num_kept"), left)
