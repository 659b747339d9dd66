"""The figures of all evaluations of a run side by side, also against an earlier run: HTML, Markdown, JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from manifests.report.page import Section, table
from manifests.store import write_bytes

MINUS = "\N{MINUS SIGN}"

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """The one number of an evaluation that stands for it."""

    evaluation: str
    kind: str
    measure: str
    value: float
    interval: tuple[float, float] | None
    step: int | None
    earlier: float | None = None  # of the run that this one is compared with


def figures_of(evaluations: Sequence[Json], earlier: Sequence[Json] = ()) -> list[Figure]:
    """Return a figure for each evaluation that has one, with the earlier run's of the same kind and name."""
    before = {(result["eval"], result["name"]): _headline(result) for result in earlier}
    found = []
    for result in evaluations:
        if (headline := _headline(result)) is None:
            continue
        measure, value = headline
        old = before.get((result["eval"], result["name"]))
        interval = result.get("interval")
        found.append(
            Figure(
                evaluation=result["name"],
                kind=result["eval"].replace("_", " "),
                measure=measure,
                value=value,
                interval=(interval[0], interval[1]) if interval else None,
                step=result.get("step"),
                earlier=old[1] if old and old[0] == measure else None,
            )
        )
    return found


def results_section(evaluations: Sequence[Json], figures: Sequence[Figure], earlier: str | None) -> Section:
    """Return every evaluation's own line, and under them the figures beside the earlier run's."""
    lines = [
        (result["name"], result["eval"].replace("_", " "), result.get("summary", ""), result.get("step", ""))
        for result in evaluations
    ]
    columns = ("evaluation", "kind", "result", "step")
    body = table(columns, lines, caption="Results of all evaluations") if lines else ""
    if earlier is not None and figures:
        caption = f"This run against {earlier}"
        body += table(_columns(earlier), [_row(figure, earlier) for figure in figures], caption=caption)
    return Section(anchor="results", title="Results", body=body)


def write_summaries(run_dir: Path, figures: Sequence[Figure], earlier: str | None) -> None:
    """Write RUN/evals.json and RUN/evals.md: what the report's table says, for programs and for a paper."""
    fields = {
        "run": run_dir.resolve().name,
        "against": earlier,
        "figures": [asdict(part) for part in figures],
    }
    write_bytes(run_dir / "evals.json", (json.dumps(fields, indent=1, ensure_ascii=False) + "\n").encode())
    columns = _columns(earlier)
    rows = [columns, ["---"] * len(columns), *(_row(figure, earlier) for figure in figures)]
    text = "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in rows)
    write_bytes(run_dir / "evals.md", text.encode())


def _columns(earlier: str | None) -> list[str]:
    own = ["evaluation", "kind", "measure", "value", "95 % interval", "step"]
    return own if earlier is None else [*own, earlier, "difference"]


def _row(figure: Figure, earlier: str | None) -> list[str]:
    between = "" if figure.interval is None else " to ".join(_number(bound) for bound in figure.interval)
    step = "" if figure.step is None else str(figure.step)
    own = [figure.evaluation, figure.kind, figure.measure, _number(figure.value), between, step]
    if earlier is None:
        return own
    if figure.earlier is None:
        return [*own, "", ""]
    change = figure.value - figure.earlier
    sign = MINUS if change < 0 else "+"
    return [*own, _number(figure.earlier), f"{sign}{_number(abs(change))}"]


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def _headline(result: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return what is measured and its value; None for a result that no single number stands for."""
    if result.get("value") is not None:
        return result.get("metric", "value").replace("_", " "), result["value"]
    for name, words in _MEASURES.items():
        at: Any = result
        for part in name.split("."):
            at = at.get(part) if isinstance(at, Mapping) else None
        if isinstance(at, int | float):
            return words, float(at)
    return None


# Where a result has no metric of its own: a field, and what it is called.
_MEASURES = {
    "zero_shot_is_worth": "pictures per class that zero-shot is worth",
    "text_to_image.recall_at_1": "recall at 1, text to image",
    "calibration_error": "expected calibration error",
    "contamination": "share of overlapping pictures",
    "mean_effective": "mean effective robustness",
    "top1": "top-1",
}
