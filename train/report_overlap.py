"""All overlaps of a run with its evaluations in one table, corrected for how many were tested."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.report.page import Section, table, text

Json = dict[str, Any]


def overlap_section(evaluations: Sequence[Json]) -> Section:
    """Return the paper's table: contamination, accuracies of the parts, and whether they differ."""
    found = [result for result in evaluations if result["eval"] == "overlap"]
    corrected = bonferroni({result["name"]: result["p_value"] for result in found})
    rows = []
    for result in found:
        low, high = result["overlap_interval"] or (None, None)
        between = "" if low is None else f"{_percent(low)} to {_percent(high)}"
        p_value = f"{corrected[result['name']]:.2g}" if result["name"] in corrected else ""
        parts = [_percent(result[f"accuracy_{part}"]) for part in ("all", "clean", "overlap")]
        gain = "" if result["gain"] is None else f"{100 * result['gain']:+.2f}"
        counts = [f"{result['num_overlap']:,}", _percent(result["contamination"])]
        rows.append([result["name"], *counts, *parts, between, gain, p_value])
    columns = ["evaluation", "pictures", "share", "all", "clean", "overlap", "99.5 %", "gain", "p, corrected"]
    caption = f"Near-duplicates of evaluations in training; p by Bonferroni over {len(corrected)} tests"
    pages = " ".join(
        f'<a href="evals/{text(result["page"])}">{text(result["name"])}</a>'
        for result in found
        if "page" in result
    )
    body = f"{table(columns, rows, caption=caption)}<p>Pairs to look at: {pages}</p>" if rows else ""
    return Section(anchor="overlap", title="Overlap with training", body=body)


def bonferroni(p_values: Mapping[str, float | None]) -> dict[str, float]:
    """Return the p-values of several datasets, corrected for their number: those without a test do not count.

    >>> bonferroni({"cifar10": 0.02, "mnist": None, "pets": 0.6})
    {'cifar10': 0.04, 'pets': 1.0}
    """
    tested = {name: value for name, value in p_values.items() if value is not None}
    return {name: min(1.0, value * len(tested)) for name, value in tested.items()}


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.2f} %"
