"""The search terms of several datasets as one list, numbered anew, and what they count."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.schema import COVERAGE_SCHEMA, QUERY_SCHEMA

_COUNTS = ("num_matched", "num_tried", "num_kept")
Row = dict[str, Any]


@dataclass(frozen=True)
class Terms:
    """The united list: the first dataset's terms with their numbers, then what the others have besides."""

    texts: list[str]
    numbers: list[NDArray[np.int32]]  # for each dataset: the new number of each of its terms

    @classmethod
    def united(cls, lists: Sequence[Sequence[str]]) -> "Terms":
        """Unite lists of terms, each in the order of its numbers."""
        number_of: dict[str, int] = {}
        numbers = [
            np.array([number_of.setdefault(text, len(number_of)) for text in texts], np.int32)
            for texts in lists
        ]
        return cls(list(number_of), numbers)

    def stay(self, dataset: int) -> bool:
        """Return whether a dataset's terms keep their numbers."""
        return bool((self.numbers[dataset] == np.arange(len(self.numbers[dataset]))).all())

    @property
    def digest(self) -> str:
        """The hash of the numbered list, as a manifest has it."""
        return sha256("".join(f"{text}\n" for text in self.texts).encode()).hexdigest()

    def renumbered(self, table: pa.Table, dataset: int) -> pa.Table:
        """Return rows of a dataset with the new numbers of their terms (column query_ids, where it is)."""
        if self.stay(dataset) or "query_ids" not in table.column_names:
            return table
        field = table.schema.field("query_ids")
        column = table["query_ids"].combine_chunks()
        lists = [None if ids is None else self.numbers[dataset][ids].tolist() for ids in column.to_pylist()]
        return table.set_column(table.schema.get_field_index("query_ids"), field, pa.array(lists, field.type))


def united_queries(terms: Terms, tables: Sequence[pa.Table]) -> pa.Table:
    """Return QUERY_SCHEMA rows of the united list: counts are sums, a probability stays where all agree."""
    columns: dict[str, Any] = {name: np.zeros(len(terms.texts), np.int64) for name in _COUNTS}
    origins, chances = [""] * len(terms.texts), dict[int, set[float | None]]()
    for numbers, table in zip(terms.numbers, tables, strict=True):
        for name in _COUNTS:
            columns[name][numbers] += table[name].to_numpy()
        pairs = zip(
            numbers.tolist(), table["origin"].to_pylist(), table["keep_probability"].to_pylist(), strict=True
        )
        for number, origin, chance in pairs:
            origins[number] = origins[number] or origin
            chances.setdefault(number, set()).add(chance)
    agreed = [chances[n].copy().pop() if len(chances[n]) == 1 else None for n in range(len(terms.texts))]
    columns |= {"query_id": np.arange(len(terms.texts), dtype=np.int32), "text": terms.texts}
    columns |= {"origin": origins, "keep_probability": pa.array(agreed, pa.float64())}
    return pa.table([columns[name] for name in QUERY_SCHEMA.names], schema=QUERY_SCHEMA)


def united_coverage(tables: Sequence[pa.Table]) -> pa.Table:
    """Return COVERAGE_SCHEMA rows of all: sums; of num_queries the largest, since terms that several share
    count once: there are at least so many."""
    rows: dict[tuple[str, str], Row] = {}
    for row in (row for table in tables for row in table.to_pylist()):
        place = row["origin"], row["source"]
        known = rows.setdefault(place, {**row, **dict.fromkeys(_COUNTS, 0)})
        known["num_queries"] = max(known["num_queries"], row["num_queries"])
        for name in _COUNTS:
            known[name] += row[name]
    return pa.Table.from_pylist([row for _, row in sorted(rows.items())], schema=COVERAGE_SCHEMA)
