"""A difference of two datasets to read, or as JSON."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from manifests.diff import Change, Difference
from manifests.diff.pairs import OneSided

MOST_LINES = 20


def to_text(found: Difference) -> Iterator[str]:
    """Yield the lines that say what differs."""
    if found.is_empty:
        yield "no difference: same configuration, funnel, search terms and pairs, same bytes of shards"
        return
    for title, listed in (
        ("dataset", found.facts),
        ("configuration", found.config),
        ("funnel", found.funnel),
    ):
        yield from _side_by_side(title, listed)
    if found.history:
        yield f"history: {found.history.old} -> {found.history.new} changes"
    if found.terms_added or found.terms_removed:
        yield f"search terms: {len(found.terms_added):,} added, {len(found.terms_removed):,} removed"
        yield from (f"  + {term}" for term in _first(found.terms_added))
        yield from (f"  - {term}" for term in _first(found.terms_removed))
    yield f"pairs: {found.lost.num_pairs:,} lost, {found.gained.num_pairs:,} gained"
    yield from _reasons("lost, which of the new dataset's rejections are", found.lost)
    yield from _reasons("gained, which of the old dataset's rejections were", found.gained)


def to_json(found: Difference) -> str:
    """Return all of it but the keys as one line of JSON."""
    return json.dumps(
        {
            "same": found.is_empty,
            "facts": [asdict(change) for change in found.facts],
            "config": [asdict(change) for change in found.config],
            "funnel": [asdict(change) for change in found.funnel],
            "history": asdict(found.history) if found.history else None,
            "terms": {"added": found.terms_added, "removed": found.terms_removed},
            "lost": {"num_pairs": found.lost.num_pairs, "reasons": found.lost.reasons},
            "gained": {"num_pairs": found.gained.num_pairs, "reasons": found.gained.reasons},
        },
        ensure_ascii=False,
    )


def keys_to_text(found: Difference, *, as_json: bool) -> Iterator[str]:
    """Yield a line for each pair that is lost or gained: which of both, its key and why."""
    for change, side in (("lost", found.lost), ("gained", found.gained)):
        for key, why in side.explained():
            fields = {"change": change, "key": key, "why": why}
            yield json.dumps(fields) if as_json else "\t".join(fields.values())


def _side_by_side(title: str, listed: Sequence[Change]) -> Iterator[str]:
    if listed:
        yield f"{title}:"
        width = max(len(change.field) for change in listed)
        yield from (f"  {each.field:<{width}}  {_shown(each.old)} -> {_shown(each.new)}" for each in listed)


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _first(terms: list[str]) -> list[str]:
    left = len(terms) - MOST_LINES
    return [*terms[:MOST_LINES], *([f"... {left:,} more (--json has all)"] if left > 0 else [])]


def _reasons(title: str, side: OneSided) -> Iterator[str]:
    if side.num_pairs:
        yield f"  {title}:"
        yield from (f"    {count:>12,}  {reason}" for reason, count in side.reasons.items())
