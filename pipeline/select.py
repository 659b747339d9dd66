"""Distinct pairs to units of work: the cap per search term, then all pairs of a host into one lane.

A lane is fetched by one worker, so that the limits per host hold whatever the number of workers.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import numpy as np

from filters.sampling import priority
from filters.urls import host_of
from manifests.storage import Anywhere
from manifests.store import write_table
from pipeline.blocks import GroupBlocks, num_buckets_for, split, unpack
from pipeline.parts import REJECTIONS, Part, sum_of, write_part
from pipeline.pool import Caps

CAP = "cap"
NUM_LANES = 64


class SelectPairs(beam.PTransform):
    """Parts of distinct pairs -> units <lane>-<cut>-<number> of pairs to fetch, written to `out`.

    `suffix` tells the units of one round from those of another.
    """

    def __init__(
        self, parts: list[Part], caps: Caps, pairs_per_unit: int, out: Path, suffix: str = ""
    ) -> None:
        super().__init__()
        self.parts, self.caps, self.pairs_per_unit, self.out = parts, caps, pairs_per_unit, out
        self.suffix = suffix

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        # A lane of one giant host is cut by hash, so that no group outgrows memory.
        num_cuts = num_buckets_for(sum_of(self.parts))
        return (
            begin
            | "each part of pairs" >> beam.Create(self.parts)
            | "cap" >> beam.FlatMap(_capped, caps=self.caps, out=self.out, num_cuts=num_cuts)
            | "by host" >> GroupBlocks()
            | "units"
            >> beam.FlatMap(
                _write_units, self.pairs_per_unit, self.out, num_cuts=num_cuts, suffix=self.suffix
            )
        )


def lane_of(url: str) -> int:
    """Return the lane of a URL, by its host; local pictures have no host and spread over all."""
    return priority(host_of(url) or url, salt="lane") % NUM_LANES


def lanes_of_worker(units: list[str], num_workers: int) -> list[list[str]]:
    """Deal units to workers, every lane to one."""
    dealt: list[list[str]] = [[] for _ in range(num_workers)]
    for unit in units:
        dealt[int(unit.partition("-")[0]) % num_workers].append(unit)
    return [group for group in dealt if group]


def _capped(part: Part, caps: Caps, out: Anywhere, num_cuts: int) -> Iterator[tuple[int, bytes]]:
    table, rejections = caps.accept(part.rows(), CAP)
    write_table(out / f"cap-{part.name}{REJECTIONS}", rejections)
    keys = [
        lane_of(row["url"]) * num_cuts + priority(row["pair_id"], salt="cut") % num_cuts
        for row in table.select(["url", "pair_id"]).to_pylist()
    ]
    yield from split(table, np.array(keys, dtype=np.int64))


def _write_units(
    group: tuple[int, Iterable[bytes]], pairs_per_unit: int, out: Anywhere, num_cuts: int, suffix: str
) -> Iterator[str]:
    key, blocks = group
    table = unpack(blocks, sort_by="pair_id")
    lane, cut = divmod(key, num_cuts)
    for number, start in enumerate(range(0, len(table), pairs_per_unit)):
        name = f"{lane:02d}-{cut:05d}-{number:05d}{suffix}"
        write_part(out, name, table.slice(start, pairs_per_unit), [])
        yield name
