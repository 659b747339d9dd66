"""From samples to a prediction of the whole build. What only the fetch could tell stands in `Assumed`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from filters.checks import screen_caption
from filters.urls import host_of
from pipeline.config import BuildConfig, RunOptions
from pipeline.limits import require
from pipeline.plan.sample import HOUR_S, Sample, Sampled, Sampler, SourcePlan
from pipeline.terms import read_terms

NUM_HOSTS_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What is not known before. The share of pairs that outlives the fetch is the build's cap.survival."""

    picture_bytes: int = 90_000
    """A downloaded picture."""
    stored_bytes: int = 37_000
    """A pair in a shard, at the default size."""
    pictures_per_s: float = 100.0
    """Pictures that one worker fetches, decodes and encodes a second."""

    def __post_init__(self) -> None:
        for name in ("picture_bytes", "stored_bytes", "pictures_per_s"):
            rule = f"assumed.{name.replace('_', '-')} must be > 0"
            require(getattr(self, name) > 0, getattr(self, name), rule)


@dataclass(frozen=True, kw_only=True)
class Fullness:
    """How full the terms will get: shares of all terms."""

    num_terms: int
    share_full: float
    """Have pairs enough for their cap, with what the fetch will lose."""
    share_tenth: float
    """Have at least a tenth of that, the full ones included."""
    share_seen: float
    """Occur in the sample at all."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The prediction. Counts of pairs are upper bounds: duplicates beyond the sample are not seen."""

    sources: tuple[SourcePlan, ...]
    num_matched: int
    num_fetched: int
    """After the cap, over-sampled."""
    num_kept: int
    download_bytes: int
    disk_bytes: int
    """Shards, and as much again for the pictures staged under work/ until the build ends."""
    fetch_hours: float
    """Of all workers together, or of the busiest host at its pace, whichever is longer."""
    total_hours: float
    requests_per_host: dict[str, int]
    """The busiest hosts."""
    busiest_host_hours: float
    fullness: Fullness
    assumed: Assumed


def make_plan(config: BuildConfig, options: RunOptions, sample: Sample, assumed: Assumed) -> Plan:
    """Sample the sources and predict the build. Raises ValueError for a request that cannot be met."""
    if not config.queries or not Path(config.queries).is_file():
        raise ValueError(f"queries: {config.queries!r} is not a file: give --queries FILE, one term per line")
    screen_caption("any caption", config.text)  # a missing language model is found here
    queries = read_terms(Path(config.queries), config.match_mode)
    sampled = Sampler(config, options, queries, sample).sources()
    return predict(sampled, len(queries), config, options, assumed)


def predict(
    sampled: Sequence[Sampled], num_terms: int, config: BuildConfig, options: RunOptions, assumed: Assumed
) -> Plan:
    """Scale the samples up, apply the cap and add up what that takes."""
    counts = counts_per_term(sampled, num_terms)
    wanted = config.cap.max_pairs_per_query / config.cap.survival
    requests = requests_per_host(sampled, counts, wanted)
    num_fetched = sum(requests.values())
    num_kept = num_fetched * config.cap.survival
    busiest = sorted(((n, host) for host, n in requests.items() if host), reverse=True)[:NUM_HOSTS_SHOWN]
    host_hours = busiest[0][0] * config.fetch.per_host_interval_s / HOUR_S if busiest else 0.0
    worker_hours = num_fetched / assumed.pictures_per_s / options.workers / HOUR_S
    return Plan(
        sources=tuple(part.plan for part in sampled),
        num_matched=sum(part.plan.num_pairs for part in sampled),
        num_fetched=round(num_fetched),
        num_kept=round(num_kept),
        download_bytes=round(num_fetched * assumed.picture_bytes),
        disk_bytes=round(num_kept * assumed.stored_bytes * 2),
        fetch_hours=max(worker_hours, host_hours),
        total_hours=max(worker_hours, host_hours) + sum(part.plan.hours for part in sampled),
        requests_per_host={host: round(number) for number, host in busiest},
        busiest_host_hours=host_hours,
        fullness=Fullness(
            num_terms=num_terms,
            share_full=float(np.mean(counts >= wanted)),
            share_tenth=float(np.mean(counts >= wanted / 10)),
            share_seen=float(np.mean(counts > 0)),
        ),
        assumed=assumed,
    )


def counts_per_term(sampled: Sequence[Sampled], num_terms: int) -> np.ndarray:
    """Return float64 (number of terms,): the pairs that each term will match."""
    counts = np.zeros(num_terms)
    for part in sampled:
        for pair, weight in zip(part.pairs, part.weights, strict=True):
            counts[pair["query_ids"]] += weight
    return counts


def requests_per_host(sampled: Sequence[Sampled], counts: np.ndarray, wanted: float) -> dict[str, float]:
    """Return how many pairs of each host the cap will let through; local pictures are those of host "".

    A pair is taken when one of its terms accepts it, each as if by chance: `wanted` of the pairs it matches.
    """
    refused = 1 - np.minimum(1.0, wanted / np.maximum(counts, 1.0))
    requests: dict[str, float] = {}
    for part in sampled:
        for pair, weight in zip(part.pairs, part.weights, strict=True):
            host = host_of(pair["url"])
            share = weight * (1 - float(np.prod(refused[pair["query_ids"]])))
            requests[host] = requests.get(host, 0.0) + share
    return requests
