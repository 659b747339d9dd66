"""All overlaps of a run with its evaluations in one table, corrected for how many were tested."""

from collections.abc import Sequence
from typing import Any

from manifests.report.page import Section, table, text

Json = dict[str, Any]


def overlap_section(evaluations: Sequence[Json]) -> Section:
    """Return the paper's table: contamination, accuracies of the parts, and whether they differ."""
    found = [result for result in evaluations if result["eval"] == "overlap"]
    tested = [result for result in found if result.get("p_value") is not None]
    rows = []
    for result in found:
        low, high = result["overlap_interval"] or (None, None)
        between = "" if low is None else f"{_percent(low)} to {_percent(high)}"
        p_value = result.get("p_value")
        corrected = "" if p_value is None else f"{min(1.0, p_value * len(tested)):.2g}"
        parts = [_percent(result[f"accuracy_{part}"]) for part in ("all", "clean", "overlap")]
        gain = "" if result["gain"] is None else f"{100 * result['gain']:+.2f}"
        counts = [f"{result['num_overlap']:,}", _percent(result["contamination"])]
        rows.append([result["name"], *counts, *parts, between, gain, corrected])
    columns = ["evaluation", "pictures", "share", "all", "clean", "overlap", "99.5 %", "gain", "p, corrected"]
    caption = f"Near-duplicates of evaluations in training; p by Bonferroni over {len(tested)} tests"
    pages = " ".join(
        f'<a href="evals/{text(result["page"])}">{text(result["name"])}</a>'
        for result in found
        if "page" in result
    )
    body = f"{table(columns, rows, caption=caption)}<p>Pairs to look at: {pages}</p>" if rows else ""
    return Section(anchor="overlap", title="Overlap with training", body=body)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
