"""Sampling: some units of each bulk source, some terms of each search source, matched as the build would.

Units and terms are chosen by hash. No picture is downloaded.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from filters.queries import QueryIndex
from filters.sampling import priority
from pipeline.config import BuildConfig, RunOptions
from pipeline.crawl import gather
from pipeline.limits import Network, require
from pipeline.match import screen
from pipeline.records import Query
from pipeline.sources import Source

HOUR_S = 3600.0
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How much is looked at."""

    files: int = 2
    """Units (files, folders) of each bulk source."""
    terms: int = 20
    """Terms asked of each search source, with all their pages of results."""

    def __post_init__(self) -> None:
        require(self.files >= 1, self.files, "sample.files must be >= 1")
        require(self.terms >= 1, self.terms, "sample.terms must be >= 1")


@dataclass(frozen=True, kw_only=True)
class SourcePlan:
    """One source: what was sampled, and what all of it will give and take."""

    source: str
    num_sampled: int
    num_units: int
    """Files or folders; terms for a search source."""
    num_candidates: int
    num_errors: int
    num_pairs: int
    """Matched, screened and distinct within the sample: duplicates beyond it are not seen."""
    num_requests: int
    """Questions to a search service; 0 for bulk sources."""
    hours: float


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """Distinct pairs of one source's sample, and how many of all its pairs each stands for."""

    plan: SourcePlan
    pairs: list[dict[str, Any]]
    weights: list[float]


@dataclass(frozen=True)
class Sampler:
    """Samples the sources of a build."""

    config: BuildConfig
    options: RunOptions
    queries: Sequence[Query]
    sample: Sample
    index: QueryIndex = field(init=False)

    def __post_init__(self) -> None:
        index = QueryIndex((query.text for query in self.queries), self.config.match_mode)
        object.__setattr__(self, "index", index)

    def sources(self) -> list[Sampled]:
        """Sample each source that is on. Raises ValueError where none is."""
        on = {name: s for name, s in self.config.sources.by_name().items() if s.units(self.queries)}
        if not on:
            known = ", ".join(self.config.sources.by_name())
            raise ValueError(f"no source says where to look: give one of {known} its place")
        return [self._sampled(name, source) for name, source in on.items()]

    def _sampled(self, name: str, source: Source) -> Sampled:
        started_s, started_cpu_s = time.monotonic(), time.process_time()
        if searches := hasattr(source, "request_url"):
            asked = chosen(self.queries, self.sample.terms, lambda query: query.text)
            units, num_sampled, num_units = source.units(asked), len(asked), len(self.queries)
        else:
            asked, every = list(self.queries), source.units(self.queries)
            units = chosen(every, self.sample.files, str)
            num_sampled, num_units = len(units), len(every)
        rows, num_errors, num_requests = self._read(source, units, asked)
        read_s = time.monotonic() - started_s
        pairs, _ = screen(rows, self.index, self.config, {})
        distinct = list({pair["url"]: pair for pair in pairs}.values())
        # A search service is asked in series; files are read by all workers at once.
        cpu_s = time.process_time() - started_cpu_s
        scale = num_units / num_sampled
        weights = [weight(pair["query_ids"], 1 / scale) if searches else scale for pair in distinct]
        plan = SourcePlan(
            source=name,
            num_sampled=num_sampled,
            num_units=num_units,
            num_candidates=round(len(rows) * scale),
            num_errors=round(num_errors * scale),
            num_pairs=round(sum(weights)),
            num_requests=round(num_requests * scale),
            hours=(read_s if searches else cpu_s / self.options.workers) * scale / HOUR_S,
        )
        return Sampled(plan=plan, pairs=distinct, weights=weights)

    def _read(
        self, source: Source, units: Sequence[str], queries: Sequence[Query]
    ) -> tuple[list[dict[str, Any]], int, int]:
        """Return candidates, the number of errors, and of answers that search services gave."""
        rows: list[dict[str, Any]] = []
        num_errors = num_requests = 0
        network = Network(connect_to=self.options.connect_to, contact=self.config.fetch.contact)
        with tempfile.TemporaryDirectory() as folder:
            for unit in units:
                journal = Path(folder) / unit
                blocks, rejections = gather(source.read(unit, queries, replace(network, journal=journal)))
                rows += [row for block in blocks for row in block.to_pylist()]
                num_errors += len(rejections)
                num_requests += journal.read_bytes().count(b"\n") if journal.exists() else 0
        return rows, num_errors, num_requests


def weight(query_ids: Sequence[int], share: float) -> float:
    """Return how many pairs a pair stands for that a search for a share of all terms has found.

    A picture whose caption holds several terms is found by the search for each: it is in the sample with
    probability 1 - (1 - share)^terms, and stands for the inverse of that (Horvitz and Thompson, 1952).

    >>> weight([7], 0.25), weight([7, 8], 0.25), weight([7], 1.0)
    (4.0, 2.2857142857142856, 1.0)
    """
    return float(1 / (1 - (1 - share) ** max(1, len(query_ids))))


def chosen(values: Sequence[T], number: int, key: Callable[[T], str]) -> list[T]:
    """Return so many of the values, those of lowest hash, in their order."""
    positions = sorted(range(len(values)), key=lambda n: priority(key(values[n]), salt="plan"))
    return [values[n] for n in sorted(positions[:number])]
