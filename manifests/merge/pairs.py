"""What becomes of the pairs of each dataset that is merged: which stay, and why the others do not."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.do_not_fetch import LIST_NAME, Listed, read_list
from manifests.gather import ROW_BITS, Positions, rows_in
from manifests.merge.copies import CRITERIA, Copies
from manifests.schema import Shard
from manifests.store import Dataset
from manifests.takedown.blank import REASON as TAKEN_DOWN

_COLUMNS = ["url", "final_url", "page_url", "caption", "sha256", "phash"]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A shard of one of the datasets, and what of it stays."""

    dataset: int
    shard: Shard
    dropped: dict[int, tuple[str, str, str | None]] = field(
        default_factory=dict
    )  # row: reason, detail, kept key


def outcomes(sources: Sequence[Dataset], copies: Copies, max_distance: int | None) -> Iterator[Outcome]:
    """Yield what becomes of every shard of every dataset, in order. What one of the datasets has taken down
    does not come in by another."""
    keys = dict(_keys_at(sources, copies.kept))
    lists = [read_list(source.root / LIST_NAME) for source in sources]
    number = 0
    for place, source in enumerate(sources):
        listed = Listed(set().union(*lists) - lists[place])
        for shard in source.manifest.shards:
            found = copies.of_shard(number)
            dropped: dict[int, tuple[str, str, str | None]] = {}
            for row, kept, criterion in zip(
                rows_in(copies.positions[found]).tolist(),
                copies.kept[found].tolist(),
                copies.criteria[found].tolist(),
                strict=True,
            ):
                _, reason, detail = CRITERIA[criterion]
                dropped[row] = reason, detail.format(max_distance=max_distance), keys[kept]
            for row in _taken_down(source, shard, listed):
                dropped[row] = TAKEN_DOWN, "taken down", None
            yield Outcome(dataset=place, shard=shard, dropped=dropped)
            number += 1


def _keys_at(sources: Iterable[Dataset], positions: Positions) -> Iterator[tuple[int, str]]:
    """Yield positions with the keys of the pairs there."""
    wanted, number = np.unique(positions), 0
    for source in sources:
        for shard in source.manifest.shards:
            ends = np.array([number, number + 1], dtype=np.uint64) << ROW_BITS
            start, stop = np.searchsorted(wanted, ends).tolist()
            if stop > start:
                here = wanted[start:stop]
                keys = source.read_index(shard, ["key"])["key"].take(pa.array(rows_in(here)))
                yield from zip(here.tolist(), keys.to_pylist(), strict=True)
            number += 1


def _taken_down(source: Dataset, shard: Shard, listed: Listed) -> list[int]:
    if not listed:
        return []
    there = source.read_index(shard)
    rows: list[dict[str, Any]] = there.select(
        [name for name in _COLUMNS if name in there.column_names]
    ).to_pylist()
    return [number for number, row in enumerate(rows) if listed.holds(row)]
