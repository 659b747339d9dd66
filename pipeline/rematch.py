"""Old captions under new search terms: what a dataset holds of terms that came after its shards.

The index of a published shard is not written again. What a new term has in it counts all the same when it is
asked how many pairs the term may still take.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from filters.queries import MatchMode, QueryIndex
from manifests.schema import INDEX_SCHEMA
from manifests.store import write_bytes
from pipeline.match import index_terms
from pipeline.parts import IndexPart
from pipeline.records import Query


@dataclass(frozen=True)
class NewTerms:
    """Terms that a dataset's shards were not matched against; they are numbered after its own."""

    path: Path
    """The terms, one to a line."""
    first: int
    """The number of the first."""
    mode: MatchMode

    @classmethod
    def write(cls, queries: list[Query], first: int, mode: MatchMode, path: Path) -> "NewTerms":
        """Write the terms from number `first` on to where each process reads them."""
        write_bytes(path, "".join(f"{query.text}\n" for query in queries[first:]).encode())
        return cls(path, first, mode)

    def added(self, query_ids: list[int], caption: str) -> list[int]:
        """Return a pair's terms and the new ones in its caption."""
        found = _index(self.path, self.mode).matches(caption)
        return [*query_ids, *(self.first + number for number in found)]


@lru_cache(maxsize=1)
def _index(path: Path, mode: MatchMode) -> QueryIndex:
    return index_terms(path, mode)  # once in each process; it cannot be pickled


@dataclass(frozen=True, slots=True)
class RematchedPart(IndexPart):
    """The index of a shard, whose pairs have the new terms of their captions besides their own."""

    terms: NewTerms

    def rows(self, columns: list[str] | None = None) -> pa.Table:
        """Return the shard's rows as an IndexPart does, with all terms in `query_ids`."""
        table = IndexPart.rows(self, columns and [*{*columns, "query_ids", "caption"}])
        pairs = zip(table["query_ids"].to_pylist(), table["caption"].to_pylist(), strict=True)
        lists = [self.terms.added(query_ids or [], caption) for query_ids, caption in pairs]
        column = INDEX_SCHEMA.field("query_ids")
        place = table.schema.get_field_index("query_ids")
        return table.set_column(place, column, pa.array(lists, column.type)).select(
            columns or table.column_names
        )
