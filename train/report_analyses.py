"""What analyses add to a run's report: others' figures, calibration, robustness, shares by group."""

import math
from collections.abc import Sequence
from typing import Any

from manifests.report.curves import Series, curves
from manifests.report.page import cards, folded, table

Json = dict[str, Any]
MAX_PUBLISHED_SHOWN = 8  # the others are folded


def analyses(result: Json) -> str:
    """Return the tables and drawings of what a result holds, "" where it holds none of them."""
    parts = [
        _published(result) if result.get("published") else "",
        cards([_calibration(result["bins"])]) if result.get("bins") else "",
        cards([_few_shot(result)]) if result.get("curve") else "",
        _robustness(result["shifts"]) if result.get("shifts") else "",
        cards([_shares(name, found) for name, found in result.get("sets", {}).items()]),
        cards([_templates(result["top1_after_each"])]) if result.get("top1_after_each") else "",
    ]
    return "".join(parts)


def _published(result: Json) -> str:
    """Return the published rows beside the run's own, the highest first."""
    known = result.get("compute") or {}
    own_compute = [f"{known[name]:.3g}" if known else "" for name in ("billion_pairs_seen", "train_exaflop")]
    own = [result["name"], "this run", _percent(result["value"]), *own_compute, ""]
    rows = [(100 * result["value"], own)]
    for row in result["published"]:
        compute = [f"{row['billion_pairs_seen']:g}", f"{row['train_exaflop']:g}"]
        figure = f"{row['percent']:.1f} %"
        rows.append((row["percent"], [row["model"], row["training_data"], figure, *compute, row["source"]]))
    columns = [
        "model",
        "trained on",
        result["metric"].replace("_", " "),
        "billion pairs",
        "exaflop",
        "source",
    ]
    ranked = [row for _, row in sorted(rows, key=lambda item: -item[0])]
    first = [row for row in ranked[:MAX_PUBLISHED_SHOWN] if row is not own]
    shown = table(columns, [own, *first], caption="This run beside what others published")
    whole = table(columns, ranked, caption="All published figures, the highest first")
    return shown + (folded("All published figures", whole) if len(ranked) > len(first) + 1 else "")


def _calibration(bins: Sequence[Json]) -> str:
    """Return accuracy by confidence beside what it would be if both were equal."""
    points = [(found["confidence"], found["accuracy"]) for found in bins]
    series = [
        Series(name="this model", points=points),
        Series(name="as sure as right", points=[(0.0, 0.0), (1.0, 1.0)]),
    ]
    return curves(title="Calibration", series=series, x_label="confidence", y_label="accuracy")


def _few_shot(result: Json) -> str:
    """Return accuracy by pictures per class, with the spread over seeds, and zero-shot beside it."""
    curve, zero = result["curve"], result["zero_shot"]["value"]
    points = [(float(point["shots"]), point["value"]) for point in curve]
    whole = result["all_pictures"]
    series = [
        Series(name="few-shot probe", points=points, bands=[tuple(point["interval"]) for point in curve]),
        Series(name="zero-shot", points=[(0.0, zero), (points[-1][0], zero)]),
        Series(name="probe on all pictures", points=[(float(whole["per_class"]), whole["value"])]),
    ]
    y_label = result["curve_metric"].replace("_", " ")
    return curves(
        title="Pictures per class", series=series, x_label="pictures per class", y_label=y_label, log_x=True
    )


def _robustness(shifts: Json) -> str:
    rows = []
    for name, shift in shifts.items():
        low, high = shift["effective_interval"]
        relative = _points(shift["relative"]) if "relative" in shift else ""
        effective = f"{_points(shift['effective'])} ({_points(low)} to {_points(high)})"
        accuracies = [_percent(shift[part]) for part in ("standard", "shifted", "expected")]
        rows.append([name, *accuracies, effective, relative])
    columns = ["shift", "standard", "shifted", "the line expects", "effective robustness", "relative"]
    whole = table(columns, rows, caption="Robustness, in points of accuracy")
    return whole + cards([_line(name, shift) for name, shift in shifts.items()])


def _line(name: str, shift: Json) -> str:
    """Return the reference models with their line, and the model beside it, all as logits."""
    points = sorted((_logit(x), _logit(y)) for x, y in shift["reference"])
    own = (_logit(shift["standard"]), _logit(shift["shifted"]))
    ends = sorted({points[0][0], points[-1][0], own[0]})
    line = [(x, shift["slope"] * x + shift["intercept"]) for x in ends]
    series = [
        Series(name="reference models", points=points, is_joined=False),
        Series(name="their line", points=line),
        Series(name="this model", points=[own], is_joined=False),
    ]
    return curves(title=name, series=series, x_label="logit of standard", y_label="logit of shifted")


def _shares(name: str, found: Json) -> str:
    """Return the share of every group that was given a label of a set, the highest first."""
    groups = sorted(found["groups"].items(), key=lambda item: -item[1]["share"])
    rows = []
    for group, share in groups:
        low, high = (100 * bound for bound in share["interval"])
        interval = f"{low:.1f} to {high:.1f}"
        rows.append([group, share["num_pictures"], share["num_given"], _percent(share["share"]), interval])
    p_value = "not defined" if found["p_value"] is None else f"{max(found['p_value'], 1e-300):.2g}"
    caption = f"Given a label of {name!r}: gap {100 * found['gap']:.1f} points, p of equal shares {p_value}"
    columns = ["group", "pictures", "given one", "share", "95 %"]
    return f'<div class="card">{table(columns, rows, caption=caption)}</div>'


def _templates(accuracies: Sequence[float]) -> str:
    points = [(float(number + 1), accuracy) for number, accuracy in enumerate(accuracies)]
    series = [Series(name="top-1", points=points)]
    return curves(title="Templates, one by one", series=series, x_label="templates", y_label="top-1")


def _logit(share: float) -> float:
    return math.log(share / (1 - share)) if 0 < share < 1 else math.nan


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"
