"""Pools of pairs, and the caps that choose among them: a pair is kept when one of its terms accepts it.

Decisions about one table of pairs. Counting and ranking over all parts of a phase: see `balance`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.reasons import Drop, Reason
from manifests.schema import SAMPLE_SCHEMA
from pipeline.blocks import mix64

CapRule = Literal["exact", "soft"]

# A priority is 63 bits of a hash. A term accepts its hits of a priority below its limit.
EVERY = (1 << 63) - 1
# Weights are whole millionths, so that their sums do not depend on the order of the parts.
MILLION = 1_000_000
COLUMNS = ["pair_id", "source", "query_ids"]


@dataclass(frozen=True)
class Hits:
    """Every (pair, term that it holds) of a table; arrays of one length."""

    rows: np.ndarray  # int64: the pair's row in the table
    query_ids: np.ndarray  # int32
    priorities: np.ndarray  # int64, below EVERY: the lowest go first

    def where(self, chosen: np.ndarray) -> "Hits":
        """Return the hits that are marked True."""
        return Hits(self.rows[chosen], self.query_ids[chosen], self.priorities[chosen])


@dataclass(frozen=True)
class Pool:
    """What a cap chooses among: pairs that no earlier cap has taken, each worth what is expected of it.

    By the exact rule a pair has one priority with all its terms, so that terms share what they take. By the
    soft rule each term draws on its own, and each `draw` anew.
    """

    rule: CapRule = "exact"
    draw: int = 0
    survival: Mapping[str, int] = field(default_factory=dict)
    """Of a source's pairs, how many in a million will outlive the fetch; a source without a figure: all."""
    earlier: tuple["Caps", ...] = ()

    def pairs(self, table: pa.Table) -> pa.Table:
        """Return the rows that are in the pool."""
        for caps in self.earlier:
            table = table.filter(pa.array(~caps.accepts(table)))
        return table

    def hits(self, table: pa.Table) -> Hits:
        """Return the hits of rows, ranked by this pool's rule."""
        rows, query_ids = terms_of(table)
        hashes = pair_hashes(table["pair_id"])[rows]
        if self.rule == "soft":
            hashes = mix64(
                hashes ^ mix64(query_ids.astype(np.uint64) + (np.uint64(self.draw) << np.uint64(32)))
            )
        return Hits(rows, query_ids, np.minimum((hashes >> np.uint64(1)).astype(np.int64), EVERY - 1))

    def weights(self, table: pa.Table) -> np.ndarray:
        """Return int64 (N,): what each row is worth, in millionths."""
        names, sources = dictionary_of(table["source"])
        worth = np.array([self.survival.get(name, MILLION) for name in names], dtype=np.int64)
        each: np.ndarray = worth[sources]
        return each


@dataclass(frozen=True)
class Caps:
    """What each term accepts of a pool."""

    limits: np.ndarray  # int64 (number of terms,): accepts priorities below
    pool: Pool
    max_pairs: int

    def accepts(self, table: pa.Table) -> np.ndarray:
        """Return bool (N,): the rows that at least one of their terms accepts."""
        hits = self.pool.hits(table)
        taken = hits.rows[hits.priorities < self.limits[hits.query_ids]]
        return np.bincount(taken, minlength=len(table)) > 0

    def chances(self, table: pa.Table) -> np.ndarray:
        """Return float64 (N,): with which probability this cap or one of the pool's earlier ones accepts each
        row, if its hash were drawn anew and the limits stayed.

        By the exact rule a pair has one hash, so that the highest limit of its terms decides. By the soft
        rule each term draws on its own, in each round.
        """
        missed = np.ones(len(table))
        rows, query_ids = terms_of(table)
        for caps in (*self.pool.earlier, self):
            by_term = 1 - caps.limits[query_ids] / float(EVERY)
            (np.minimum if self.pool.rule == "exact" else np.multiply).at(missed, rows, by_term)
        return 1 - missed

    def accept(self, table: pa.Table, stage: str) -> tuple[pa.Table, pa.Table]:
        """Return the pool's pairs that are accepted, and the rejections (SAMPLE_SCHEMA) of its others. Of
        those accepted, `keep_probability` says how likely they got through this cap and those before."""
        table = self.pool.pairs(table)
        accepted = self.accepts(table)
        drop = Drop(Reason.OVER_CAP, f"each of its search terms has its {self.max_pairs} pairs")
        if self.pool.rule == "soft":
            drop = Drop(Reason.OVER_CAP, f"none of its search terms drew it for its {self.max_pairs} pairs")
        kept = table.filter(pa.array(accepted))
        chances = both_caps(kept["keep_probability"], self.chances(kept), self.pool.rule)
        return with_chances(kept, chances), rejections_of(table.filter(pa.array(~accepted)), drop, stage)


def terms_of(table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Return int64 (H,) and int32 (H,): the rows of a table and their terms, one for each hit."""
    lists = table["query_ids"].combine_chunks()
    rows = np.repeat(np.arange(len(table)), np.diff(lists.offsets.to_numpy()))
    return rows, lists.flatten().to_numpy()


def both_caps(before: pa.ChunkedArray, chances: np.ndarray, rule: CapRule) -> np.ndarray:
    """Return float64 (N,): the probability of getting through the caps `before` and this one; NaN where that
    before is unknown (null). By the exact rule both look at one hash; by the soft rule they draw anew."""
    first = before.to_numpy()
    both: np.ndarray = np.minimum(first, chances) if rule == "exact" else first * chances
    return both


def with_chances(table: pa.Table, chances: np.ndarray) -> pa.Table:
    """Return the table with these as its column keep_probability; null for NaN."""
    place = table.schema.get_field_index("keep_probability")
    return table.set_column(
        place, table.schema.field(place), pa.array(chances, pa.float64(), from_pandas=True)
    )


def pair_hashes(pair_ids: pa.ChunkedArray) -> np.ndarray:
    """Return uint64 (N,): the first 64 bits of the ids, which are hashes in hex themselves."""
    digits = pc.utf8_slice_codeunits(pair_ids, 0, 16).to_pylist()
    return np.frombuffer(bytes.fromhex("".join(digits)), dtype=">u8").astype(np.uint64)


def dictionary_of(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """Return the distinct values of a column, and int (N,): which of them stands in each row."""
    encoded = column.combine_chunks().dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy()


def rejections_of(pairs: pa.Table, drop: Drop, stage: str) -> pa.Table:
    """Return SAMPLE_SCHEMA rows, sorted, that drop all these pairs for one reason."""
    said = {"stage": stage, "reason": str(drop.reason), "detail": drop.detail}
    columns = [
        pairs[name].cast(kind)
        if name in ("url", "caption", "source")
        else pa.repeat(pa.scalar(said[name], kind), len(pairs))
        if name in said
        else pa.nulls(len(pairs), kind)
        for name, kind in zip(SAMPLE_SCHEMA.names, SAMPLE_SCHEMA.types, strict=True)
    ]
    table = pa.table(columns, schema=SAMPLE_SCHEMA)
    return table.sort_by([("url", "ascending"), ("caption", "ascending")])
