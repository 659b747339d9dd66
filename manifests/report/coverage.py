"""The coverage of the search terms: how many are empty, short, starved, full, and what each origin and source
gives before and after the cap. Figures and their section.
"""

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.report.bars import Bar, bars
from manifests.report.page import Section, cards, number, share, table, text
from manifests.report.terms import most
from manifests.store import Dataset
from manifests.versions import read_coverage, read_queries

# What a term can be, in this order; each is one of these.
STATES = {
    "unmatched": "in no caption",
    "short": "below the cap, and all pairs were tried",
    "starved": "below the cap, and the cap had left out pairs: a further round would try them",
    "full": "at the cap",
    "over": "above the cap",
}


# Why a term can hold more pairs than its cap, by the rule of the cap.
REASONS = {
    "exact": "another term of the same pair accepted it",
    "soft": "another term of the same pair drew it, or by chance: each pair is drawn on its own",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How full the terms of each origin are. `shares` holds the rows of COVERAGE_SCHEMA."""

    rule: str  # of the cap: exact or soft
    max_pairs: int
    num_in_state: dict[str, dict[str, int]]  # origin -> state -> terms
    num_hits_over: int  # (pair, term) above the caps
    starved: list[dict[str, Any]]  # some of these terms, those in most captions first
    shares: pa.Table


def collect_coverage(dataset: Dataset, max_pairs_per_query: int, rule: str = "exact") -> Coverage:
    """Count the terms of each origin by state."""
    terms = read_queries(dataset.root)
    state = _states(terms, max_pairs_per_query)
    counted = pa.table({"origin": terms["origin"], "state": state}).group_by(["origin", "state"])
    found: dict[str, dict[str, int]] = {}
    for row in counted.aggregate([([], "count_all")]).to_pylist():
        found.setdefault(row["origin"], {})[row["state"]] = row["count_all"]
    over = pc.max_element_wise(pc.subtract(terms["num_kept"], max_pairs_per_query), 0)
    return Coverage(
        rule=rule,
        max_pairs=max_pairs_per_query,
        num_in_state=dict(sorted(found.items())),
        num_hits_over=pc.sum(over).as_py() or 0,
        starved=most(terms.filter(pc.equal(state, "starved")), "num_matched"),
        shares=read_coverage(dataset.root),
    )


def coverage_section(coverage: Coverage | None) -> Section:
    """Return the states of the terms and the shares of origins and sources; nothing without a cap."""
    if coverage is None:
        return Section(anchor="coverage", title="Coverage", body="")
    totals = {
        state: sum(states.get(state, 0) for states in coverage.num_in_state.values()) for state in STATES
    }
    lines = [
        Bar(name=state, value=count, shown=f"{number(count)} ({share(count, sum(totals.values()))})")
        for state, count in totals.items()
    ]
    meanings = "".join(
        f'<p class="quiet"><b>{text(state)}</b>: {text(meaning)}</p>' for state, meaning in STATES.items()
    )
    starved = [Bar(name=row["text"], value=row["num_kept"]) for row in coverage.starved]
    bodies = [
        f"<h3>Terms</h3>{bars(lines)}",
        f"<h3>Which means</h3>{meanings}",
        _by_origin(coverage.num_in_state),
        _by_source(coverage.shares),
        f"<h3>Starved terms</h3>{bars(starved, longest=coverage.max_pairs)}" if starved else "",
    ]
    over = ""
    if totals["over"]:
        over = f", by {number(coverage.num_hits_over)} in all, because {REASONS[coverage.rule]}"
    intro = (
        f"<p>A term may keep {number(coverage.max_pairs)} pairs. {number(totals['starved'])} terms are "
        f"starved; {number(totals['over'])} hold more than their cap{over}.</p>"
    )
    shown = [f'<div class="card">{body}</div>' for body in bodies if body]
    return Section(anchor="coverage", title="Coverage", body=intro + cards(shown, kind="two"))


def _states(terms: pa.Table, max_pairs: int) -> pa.Array:
    kept, matched = terms["num_kept"], terms["num_matched"]
    conditions = {
        "unmatched": pc.equal(matched, 0),
        "over": pc.greater(kept, max_pairs),
        "full": pc.equal(kept, max_pairs),
        "starved": pc.less(terms["num_tried"], matched),
    }
    return pc.case_when(
        pc.make_struct(*conditions.values(), field_names=list(conditions)),
        *(pa.scalar(state) for state in (*conditions, "short")),
    )


def _by_origin(num_in_state: dict[str, dict[str, int]]) -> str:
    """Return how many terms of each origin are in each state."""
    rows = [(origin, *(states.get(state, 0) for state in STATES)) for origin, states in num_in_state.items()]
    return table(("origin", *STATES), rows, caption="Terms by origin")


def _by_source(shares: pa.Table) -> str:
    """Return the hits by origin and source, before and after the cap."""
    matched, kept = (pc.sum(shares[name]).as_py() or 0 for name in ("num_matched", "num_kept"))
    rows = [
        (
            *(row["origin"], row["source"], row["num_queries"], row["num_matched"]),
            share(row["num_matched"], matched),
            *(row["num_tried"], row["num_kept"]),
            share(row["num_kept"], kept),
        )
        for row in shares.to_pylist()
    ]
    columns = ("origin", "source", "terms", "matched", "share", "tried", "kept", "share kept")
    caption = "Pairs, once for each of their terms, by origin of the term and source of the pair"
    return table(columns, rows, caption=caption) if rows else ""
