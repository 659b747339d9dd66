"""Rounds of fetching: what each search term may take in each, and how much of it is expected to last.

In the first round that is its cap, over-sampled by the configured survival. In a further one it is what it
lacks, taken from the pairs that no round has selected, over-sampled by what this build has measured.
"""

from pathlib import Path

import numpy as np

from pipeline.balance import CountPerQuery, read_caps, read_counts
from pipeline.job import Job
from pipeline.parts import Part
from pipeline.pool import MILLION, Caps, Pool, dictionary_of

# A source's figure counts as if so many pairs had behaved as configured, so that few pairs prove little.
NUM_PRIOR_PAIRS = 20
FINAL_DRAW = 0


def final_pool(job: Job) -> Pool:
    """Return what the last cap chooses among: all that is left, each pair for what it is."""
    return Pool(rule=job.config.cap.rule, draw=FINAL_DRAW)


def pool_of_round(job: Job) -> Pool:
    """Return what this round's cap chooses among: what no round before has selected."""
    earlier = tuple(_cap(job.at_round(number), ()) for number in range(1, job.round))
    return Pool(job.config.cap.rule, job.round, expected_survival(job), earlier)


def cap_of_round(job: Job) -> Caps:
    """Return the cap of this round, once its limits are found."""
    return _cap(job, tuple(_cap(job.at_round(number), ()) for number in range(1, job.round)))


def _cap(job: Job, earlier: tuple[Caps, ...]) -> Caps:
    pool = Pool(job.config.cap.rule, job.round, earlier=earlier)
    return read_caps(job.folder("demand"), pool, job.config.cap.max_pairs_per_query)


def room_in_round(job: Job, out: Path) -> np.ndarray:
    """Return int64 (number of terms,): the pairs that each term lacks before this round."""
    before = job.at_round(job.round - 1).parts("kept") if job.round > 1 else []
    return room_beside([*job.had_parts(), *before], job, "demand", out)


def room_beside(parts: list[Part], job: Job, label: str, out: Path) -> np.ndarray:
    """Return int64 (number of terms,): what each term may keep besides the pairs that are there."""
    full = job.full_caps()
    if not parts:
        return full
    job.run_beam(CountPerQuery(parts, Pool(), len(full), out / "had"), label)
    lacking: np.ndarray = np.maximum(full - read_counts(out / "had", len(full), {})[0], 0)
    return lacking


def expected_survival(job: Job) -> dict[str, int]:
    """Return, for each source, how many in a million of its selected pairs are expected to be kept."""
    prior = job.config.cap.survival
    tried: dict[str, int] = {}
    lasted: dict[str, int] = {}
    for number in range(1, job.round):
        _count_sources(job.at_round(number).parts("selected"), tried)
    if job.round > 1:
        _count_sources(job.at_round(job.round - 1).parts("kept"), lasted)
    return {
        source: int(
            MILLION
            * (lasted.get(source, 0) + NUM_PRIOR_PAIRS * prior)
            / (tried.get(source, 0) + NUM_PRIOR_PAIRS)
        )
        for source in job.config.sources.by_name()
    }


def _count_sources(parts: list[Part], counts: dict[str, int]) -> None:
    for part in parts:
        names, rows = dictionary_of(part.rows(["source"])["source"])
        for name, count in zip(names, np.bincount(rows, minlength=len(names)).tolist(), strict=True):
            counts[name] = counts.get(name, 0) + count
