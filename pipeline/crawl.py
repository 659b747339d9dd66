"""Sources to parts of candidates: one part per unit of a source; units that are there are not read again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import apache_beam as beam
import pyarrow as pa

from manifests.storage import Anywhere
from pipeline.attempts import new_attempt, write_once
from pipeline.limits import Network
from pipeline.parts import Part, column_set
from pipeline.records import CANDIDATE_SCHEMA, Candidate, Query, Rejection, to_table
from pipeline.sources import Sources
from pipeline.sources.journal import forget

JOURNAL = ".answers.jsonl"


@dataclass(frozen=True, slots=True)
class UnitGroup:
    """Units of one source that are read one after the other."""

    source: str
    units: tuple[str, ...]


class Crawl(beam.PTransform):
    """Every unit of every source that is on -> a part of candidates in `out`."""

    def __init__(self, sources: Sources, queries: Sequence[Query], network: Network, out: Path) -> None:
        super().__init__()
        self.sources, self.queries, self.network, self.out = sources, queries, network, out
        self.groups = _groups(sources, queries)

    @property
    def num_units(self) -> int:
        """How many parts there will be."""
        return sum(len(group.units) for group in self.groups)

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return (
            begin
            | "groups of units" >> beam.Create(self.groups)
            | "read sources"
            >> beam.FlatMap(
                read_units, sources=self.sources, queries=self.queries, network=self.network, out=self.out
            )
        )


def _groups(sources: Sources, queries: Sequence[Query]) -> list[UnitGroup]:
    groups = []
    for name, source in sources.by_name().items():
        units = source.units(queries)
        for first in range(min(source.max_parallel, len(units))):
            groups.append(UnitGroup(name, tuple(units[first :: source.max_parallel])))
    return groups


def read_units(
    group: UnitGroup, sources: Sources, queries: Sequence[Query], network: Network, out: Anywhere
) -> list[str]:
    """Read the units of a group that have no part yet, and write their parts."""
    source = sources.by_name()[group.source]
    for unit in group.units:
        part = Part(out, f"{group.source}-{unit}")
        if not part.path.exists():
            journal, attempt = out / f"{part.name}{JOURNAL}", new_attempt(out, part.name)
            blocks, rejections = gather(source.read(unit, queries, replace(network, journal=journal)))
            candidates = pa.concat_tables(blocks)
            named = column_set(candidates, "source") | {rejection.source for rejection in rejections}
            assert named <= {group.source}, f"source {group.source} calls itself {named}"
            write_once(out, part.name, attempt, candidates, rejections)
            forget(journal)
    return [f"{group.source}-{unit}" for unit in group.units]


def gather(records: Iterable[Candidate | Rejection | pa.Table]) -> tuple[list[pa.Table], list[Rejection]]:
    """Return the candidates as tables of CANDIDATE_SCHEMA, whole ones first, and the rejections."""
    candidates, rejections = list[Candidate](), list[Rejection]()
    blocks = list[pa.Table]()
    for record in records:
        if isinstance(record, Candidate):
            candidates.append(record)
        elif isinstance(record, Rejection):
            rejections.append(record)
        else:
            blocks.append(record)
    return [*blocks, to_table(candidates, CANDIDATE_SCHEMA)], rejections
