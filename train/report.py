"""The report of a training run: one HTML file with its curves, its evaluations and its worst errors.

Reads what a run has written (see `train.metrics` and `train.evals`) and nothing else: no torch, no model.
"""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from manifests.report.charts import line_chart
from manifests.report.page import Section, cards, facts, number, render_page, table
from manifests.report.svg import WIDTH
from manifests.store import write_bytes
from train.report_data import data_section
from train.report_evals import evaluation_curves, evaluation_section, flat
from train.report_overlap import overlap_section
from train.report_results import figures_of, results_section, write_summaries
from train.report_starts import starts_section

WIDE = 700  # SVG units: two columns of the page

Json = dict[str, Any]


def write_run_report(run_dir: Path, against: Path | None = None) -> Path:
    """Write `<run_dir>/report.html` and return its path; a run that still goes on has one too.

    Beside it stand `evals.json` and `evals.md`, the evaluations' figures, where there are any. With the
    directory of an earlier run, its figures stand beside them.

    Raises ValueError where there is no run, or where one of its files cannot be read.
    """
    if not (run_dir / "config.json").is_file():
        raise ValueError(
            f"{run_dir} holds no config.json: it is not a run. Next: python -m train fit demo --run {run_dir}"
        )
    config = _read_json(run_dir / "config.json")
    metrics = _read_lines(run_dir / "metrics.jsonl")
    steps = [line for line in metrics if "loss" in line]
    timing = _read_lines(run_dir / "timing.jsonl")
    evaluations = _evaluations(run_dir)
    earlier = None if against is None else against.resolve().name
    figures = figures_of(evaluations, [] if against is None else _evaluations(against))
    if figures:
        write_summaries(run_dir, figures, earlier)
    manifest = run_dir / "run.json"  # not there in runs of earlier versions and in imported ones
    page = render_page(
        title=f"Run {run_dir.resolve().name}",
        summary=_summary(config, steps, timing),
        sections=[
            results_section(evaluations, figures, earlier),
            overlap_section(evaluations),
            _curves_section(steps, timing, [line for line in metrics if "loss" not in line]),
            data_section(config.get("dataset", {}), steps[-1]["num_samples"] if steps else 0),
            *(evaluation_section(place, result) for place, result in enumerate(evaluations)),
            Section(
                anchor="config",
                title="Configuration",
                body=table(("field", "value"), list(flat(config)), caption="Configuration of the run"),
            ),
            starts_section(_read_json(manifest) if manifest.is_file() else {}),
        ],
    )
    path = run_dir / "report.html"
    write_bytes(path, page.encode("utf-8"))
    return path


def _summary(config: Json, steps: Sequence[Json], timing: Sequence[Json]) -> str:
    last = steps[-1] if steps else {}
    speeds = [line["samples_per_s"] for line in timing]
    return facts(
        [
            ("Recipe", config.get("recipe")),
            ("Steps", number(last["step"]) if steps else "none yet"),
            ("Epochs", number(last["epoch"]) if "epoch" in last else None),
            ("Samples", number(last["num_samples"]) if "num_samples" in last else None),
            ("Loss", number(last["loss"]) if steps else None),
            ("Samples/s, median", number(statistics.median(speeds)) if speeds else None),
            ("Wall time", _duration(timing[-1]["wall_s"]) if timing else None),
            ("CPU time", _duration(timing[-1]["cpu_s"]) if timing else None),
        ]
    )


def _evaluations(run_dir: Path) -> list[Json]:
    return [_read_json(path) for path in sorted((run_dir / "evals").glob("*.json"))]


def _curves_section(steps: Sequence[Json], timing: Sequence[Json], evaluated: Sequence[Json]) -> Section:
    shown = [
        ("Loss", "loss", "loss", steps),
        ("Learning rate", "lr", "learning rate", steps),
        ("Logit scale", "logit_scale", "exp of the learnt logit scale", steps),
        ("Speed", "samples_per_s", "samples/s", timing),
    ]
    bodies = [
        line_chart(
            title=title,
            points=[(line["step"], line[name]) for line in lines if name in line],
            x_label="step",
            y_label=y_label,
            width=WIDE if name == "loss" else WIDTH,
        )
        for title, name, y_label, lines in shown
    ]
    return Section(anchor="curves", title="Curves", body=cards([*bodies, *evaluation_curves(evaluated)]))


def _duration(seconds: float) -> str:
    """Return seconds as 1:02:03."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _read_json(path: Path) -> Json:
    try:
        fields: Json = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}. Next: write it anew, or remove it") from error
    return fields


def _read_lines(path: Path) -> list[Json]:
    """Return the lines of a JSONL file; one that a running or killed run has not ended is left out."""
    if not path.is_file():
        return []
    lines = path.read_text("utf-8").splitlines(keepends=True)
    try:
        return [json.loads(line) for line in lines if line.endswith("\n")]
    except ValueError as error:
        raise ValueError(f"{path} has a line that is not JSON: {error}. Next: remove the line") from error
