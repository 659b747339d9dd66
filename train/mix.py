"""One or several datasets as one stream of pairs, each without replacement.

An epoch goes through each dataset as often as `data.passes` says: once, three times, or through a third of
it, where the next epoch goes on. So the length of an epoch, and the share of each dataset in every batch, is
passes times pairs. Counted in passes, since what a model overfits to is how often it has seen a pair; and an
epoch of one dataset is what it always was.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.store import Dataset
from train.config import DataConfig
from train.order import rooms, seed_of, taken_before, taker_of
from train.rows import EpochRows, Row
from train.shard_cache import ShardCache

Datasets = Dataset | Sequence[Dataset]


@dataclass(frozen=True, kw_only=True)
class Part:
    """A dataset in a mix."""

    name: str
    dataset: Dataset
    passes: float  # of an epoch through it

    @property
    def num_pairs(self) -> int:
        """Return how many of its pairs an epoch takes."""
        return max(1, round(self.passes * self.dataset.manifest.num_pairs))


def mix_of(datasets: Datasets, passes: Sequence[float] | None) -> tuple[Part, ...]:
    """Return the datasets by name, in an order that does not depend on that in which they were given.

    Raises ValueError for a dataset without pairs, the same one twice, or another number of `passes`.
    """
    given = [datasets] if isinstance(datasets, Dataset) else list(datasets)
    factors = [1.0] * len(given) if passes is None else [float(value) for value in passes]
    if len(factors) != len(given):
        raise ValueError(
            f"data.passes are {len(factors)}, --data are {len(given)}. "
            "Next: as many --data.passes as --data, in the same order"
        )
    ordered = sorted(zip(given, factors, strict=True), key=lambda pair: _identity(pair[0]))
    places: dict[str, Path] = {}
    for dataset, _ in ordered:
        content = dataset.manifest.content_hash
        if content in places:
            raise ValueError(
                f"{places[content]} and {dataset.root} are the same dataset. "
                "Next: give it once, with --data.passes 2 to go through it twice"
            )
        places[content] = dataset.root
        if not dataset.manifest.shards:
            raise ValueError(
                f"{dataset.root} holds no pairs: python -m manifests show says what dropped them"
            )
    names = _unique([dataset.manifest.name for dataset, _ in ordered])
    return tuple(
        Part(name=name, dataset=dataset, passes=factor)
        for name, (dataset, factor) in zip(names, ordered, strict=True)
    )


def describe_mix(parts: Sequence[Part]) -> dict[str, Any]:
    """Return which datasets a run learns from, by content and not by place, as config.json holds it."""
    described = [_described(part) for part in parts]
    if len(parts) == 1:
        return {"name": parts[0].name, **described[0]}
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.dataset.manifest.content_hash} {part.passes!r}\n".encode())
    return {
        "name": " + ".join(part.name for part in parts),
        "num_pairs": sum(part.dataset.manifest.num_pairs for part in parts),
        "content_hash": digest.hexdigest(),
        "parts": {part.name: found for part, found in zip(parts, described, strict=True)},
    }


def shares(parts: Sequence[Part]) -> list[float]:
    """Return which share of every batch each dataset has."""
    total = sum(part.num_pairs for part in parts)
    return [part.num_pairs / total for part in parts]


class MixedRows:
    """All epochs of a mix, one after the other: place p is place p % num_pairs of epoch p // num_pairs."""

    def __init__(
        self, parts: Sequence[Part], config: DataConfig, seed: int, cache: ShardCache | None = None
    ) -> None:
        self._sizes = [part.num_pairs for part in parts]
        self.num_pairs = sum(self._sizes)
        windows = rooms([part.dataset.manifest.num_pairs for part in parts], config.max_window_pairs)
        self._rows = [
            EpochRows(
                part.dataset,
                seed=seed_of(seed, number),
                max_window_pairs=window,
                extra_captions=config.extra_captions,
                name=part.name if len(parts) > 1 else "",
                cache=cache,
            )
            for number, (part, window) in enumerate(zip(parts, windows, strict=True))
        ]

    def at(self, places: range) -> list[Row]:
        """Return the rows of consecutive places."""
        found: list[Row] = []
        while len(found) < len(places):
            epoch, first = divmod(places[len(found)], self.num_pairs)
            stop = min(self.num_pairs, first + len(places) - len(found))
            found += self._of_epoch(epoch, range(first, stop))
        return found

    def _of_epoch(self, epoch: int, places: range) -> Iterator[Row]:
        starts, stops = (taken_before(place, self._sizes) for place in (places.start, places.stop))
        taken = [
            iter(rows.at(range(epoch * size + start, epoch * size + stop)))
            for rows, size, start, stop in zip(self._rows, self._sizes, starts, stops, strict=True)
        ]
        if len(taken) == 1:
            return taken[0]
        return (next(taken[taker_of(place, self._sizes)]) for place in places)


def _identity(dataset: Dataset) -> tuple[str, str]:
    return dataset.manifest.name, dataset.manifest.content_hash


def _described(part: Part) -> dict[str, Any]:
    manifest = part.dataset.manifest
    found = {"num_pairs": manifest.num_pairs, "content_hash": manifest.content_hash}
    return found if part.passes == 1 else found | {"passes": part.passes}


def _unique(names: Sequence[str]) -> list[str]:
    """Return names with a number where one has come before.

    >>> _unique(["a", "a", "b"])
    ['a', 'a-2', 'b']
    """
    found: list[str] = []
    for name in names:
        candidates = (name if number == 1 else f"{name}-{number}" for number in range(1, len(names) + 1))
        found.append(next(candidate for candidate in candidates if candidate not in found))
    return found
