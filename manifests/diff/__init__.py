"""What differs between two datasets: their configurations, funnels, search terms and pairs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.diff.pairs import OneSided, diff_pairs
from manifests.schema import Manifest, StageCount
from manifests.storage import read_table
from manifests.store import Dataset

# What two builds of the same inputs share, beside what is compared on its own.
FACTS = ("schema_version", "code_version", "num_pairs", "num_queries", "queries_sha256", "content_hash")


@dataclass(frozen=True, kw_only=True)
class Change:
    """A field that is not the same; None where a dataset has no such field."""

    field: str
    old: Any
    new: Any


@dataclass(frozen=True, kw_only=True)
class Difference:
    """All that differs between an old dataset and a new one."""

    facts: list[Change]
    config: list[Change]
    funnel: list[Change]  # "fetch", "fetch: timeout": counts of what comes out of a stage or is dropped
    history: Change | None  # the numbers of changes, where the changes are not the same
    terms_added: list[str]
    terms_removed: list[str]
    lost: OneSided
    gained: OneSided

    @property
    def is_empty(self) -> bool:
        """Whether the datasets are the same."""
        listed = (self.facts, self.config, self.funnel, self.terms_added, self.terms_removed)
        return not any(listed) and self.history is None and not self.lost.num_pairs + self.gained.num_pairs


def diff(old: Dataset, new: Dataset, folder: Path) -> Difference:
    """Compare two datasets; `folder` is for temporary files, as in `diff_pairs`."""
    lost, gained = diff_pairs(old, new, folder)
    terms = terms_of(old), terms_of(new)
    histories = [[replace(change, at=None) for change in each.manifest.history] for each in (old, new)]
    return Difference(
        facts=changes(*(_facts(each.manifest) for each in (old, new))),
        config=changes(flat(old.manifest.config), flat(new.manifest.config)),
        funnel=changes(counts_of(old.manifest), counts_of(new.manifest)),
        history=None
        if histories[0] == histories[1]
        else Change(field="history", old=len(histories[0]), new=len(histories[1])),
        terms_added=_without(terms[1], terms[0]),
        terms_removed=_without(*terms),
        lost=lost,
        gained=gained,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    candidates = {f"candidates of {source.name}": source.num_candidates for source in manifest.sources}
    return {name: getattr(manifest, name) for name in FACTS} | candidates


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    """Return the fields that are not the same, in the order of the new ones, those that are gone at the end.

    >>> changes({"a": 1, "b": 2}, {"b": 3, "c": 4})
    [Change(field='b', old=2, new=3), Change(field='c', old=None, new=4), Change(field='a', old=1, new=None)]
    """
    return [
        Change(field=name, old=old.get(name), new=new.get(name))
        for name in {**new, **old}
        if old.get(name) != new.get(name)
    ]


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the fields of nested settings by their dotted names.

    >>> flat({"cap": {"rule": "soft"}, "rounds": 1})
    {'cap.rule': 'soft', 'rounds': 1}
    """
    fields: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            fields |= flat(value, f"{prefix}{name}.")
        else:
            fields[prefix + name] = value
    return fields


def counts_of(manifest: Manifest) -> dict[str, int]:
    """Return the counts of the funnel: what comes out of each stage, and what it drops by reason."""
    return {name: count for stage in manifest.funnel for name, count in _counts(stage)}


def _counts(stage: StageCount) -> list[tuple[str, int]]:
    dropped = [(f"{stage.stage}: {reason}", count) for reason, count in stage.dropped.items()]
    return [*dropped, (stage.stage, stage.num_out)]


def terms_of(dataset: Dataset) -> pa.Array:
    """Return the search terms of a dataset."""
    return read_table(dataset.root / "queries.parquet", ["text"])["text"].combine_chunks()


def _without(terms: pa.Array, others: pa.Array) -> list[str]:
    gone: list[str] = terms.filter(pc.invert(pc.is_in(terms, value_set=others))).to_pylist()
    return gone
