"""The report of a training run: one HTML file with its curves, its evaluations and its worst errors.

Reads what a run has written (see `train.metrics` and `train.evals`) and nothing else: no torch, no model.
"""

import base64
import binascii
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from manifests.report.bars import Bar, bars
from manifests.report.charts import WIDTH, heat_map, line_chart
from manifests.report.page import Section, cards, facts, folded, number, render_page, share, table, text
from manifests.report.pictures import thumbnail
from manifests.store import write_bytes

MAX_CLASSES_DRAWN = 30  # in a confusion matrix: more names than that cannot be read
NUM_BARS = 20  # of classes; the others are folded
NUM_WORST_CLASSES = 12
NUM_ERRORS_SHOWN = 24
WIDE = 700  # SVG units: two columns of the page

Json = dict[str, Any]


def write_run_report(run_dir: Path) -> Path:
    """Write `<run_dir>/report.html` and return its path; a run that still goes on has one too.

    Raises ValueError where there is no run, or where one of its files cannot be read.
    """
    if not (run_dir / "config.json").is_file():
        raise ValueError(
            f"{run_dir} holds no config.json: it is not a run. Next: python -m train fit demo --run {run_dir}"
        )
    config = _read_json(run_dir / "config.json")
    steps = _read_lines(run_dir / "metrics.jsonl")
    timing = _read_lines(run_dir / "timing.jsonl")
    evaluations = [_read_json(path) for path in sorted((run_dir / "evals").glob("*.json"))]
    page = render_page(
        title=f"Run {run_dir.resolve().name}",
        summary=_summary(config, steps, timing),
        sections=[
            _results_section(evaluations),
            _curves_section(steps, timing),
            *(_evaluation_section(place, result) for place, result in enumerate(evaluations)),
            Section(
                anchor="config",
                title="Configuration",
                body=table(("field", "value"), list(_flat(config)), caption="Configuration of the run"),
            ),
        ],
    )
    path = run_dir / "report.html"
    write_bytes(path, page.encode("utf-8"))
    return path


def worst_classes(result: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    """Return the classes of lowest accuracy, each with it and with what its pictures were taken for.

    >>> worst_classes({"class_names": ["cat", "dog"], "per_class": {"cat": 0.5, "dog": 1.0},
    ...                "confusion": [[2, 2], [0, 3]]})
    [('cat', 0.5, 'dog (2)')]
    """
    names = result["class_names"]
    rows = dict(zip(names, result["confusion"], strict=True))
    found = []
    for name, accuracy in sorted(result["per_class"].items(), key=lambda item: (item[1], item[0])):
        taken = sorted(zip(rows[name], names, strict=True), key=lambda item: (-item[0], item[1]))
        wrong = [f"{other} ({count})" for count, other in taken if count and other != name]
        if wrong:
            found.append((name, accuracy, ", ".join(wrong[:3])))
    return found[:NUM_WORST_CLASSES]


def most_confused(confusion: Sequence[Sequence[int]], max_classes: int) -> list[int]:
    """Return the places of the classes with the most errors, as truth or as guess, in the matrix's order."""
    num_errors = [
        sum(row) + sum(other[place] for other in confusion) - 2 * row[place]
        for place, row in enumerate(confusion)
    ]
    worst = sorted(range(len(num_errors)), key=lambda place: (-num_errors[place], place))
    return sorted(worst[:max_classes])


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


def _results_section(evaluations: Sequence[Json]) -> Section:
    rows = [
        (
            result["name"],
            result["eval"].replace("_", " "),
            *(f"{100 * result[top]:.1f} %" if top in result else "" for top in ("top1", "top5")),
            result.get("num_pictures", ""),
            result.get("step", ""),
        )
        for result in evaluations
    ]
    columns = ("evaluation", "kind", "top-1", "top-5", "pictures", "step")
    body = table(columns, rows, caption="Results of all evaluations") if rows else ""
    return Section(anchor="results", title="Results", body=body)


def _curves_section(steps: Sequence[Json], timing: Sequence[Json]) -> Section:
    curves = [
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
        for title, name, y_label, lines in curves
    ]
    return Section(anchor="curves", title="Curves", body=cards(bodies))


def _evaluation_section(place: int, result: Json) -> Section:
    chance = {"Chance": share(1, len(result["class_names"]))} if result.get("class_names") else {}
    known = {
        "Top-1": f"{100 * result['top1']:.1f} %" if "top1" in result else None,
        "Top-5": f"{100 * result['top5']:.1f} %" if "top5" in result else None,
        **chance,
        "Pictures": number(result["num_pictures"]) if "num_pictures" in result else None,
        "Unreadable pictures": len(result.get("bad_pictures", ())) or None,
        "Data": result.get("data"),
        "Step": number(result["step"]) if "step" in result else None,
    }
    said = {"eval", "name", "data", "step", "num_pictures", "top1", "top5"}
    others = [(name, value) for name, value in _flat(_scalars(result)) if name not in said]
    body = facts([*known.items(), *others])
    if result.get("confusion") and result.get("per_class"):
        body += cards([_per_class(result), _confusion(result)]) + _worst(result)
    body += _errors(result.get("errors", ()))
    if result.get("templates"):
        body += folded("Templates", f'<pre tabindex="0">{text(chr(10).join(result["templates"]))}</pre>')
    return Section(
        anchor=f"eval-{place}", title=f"{result['name']} ({result['eval'].replace('_', ' ')})", body=body
    )


def _per_class(result: Json) -> str:
    """Return the accuracy of every class, worst first; the rest is folded where there are many."""
    lines = [
        Bar(name=name, value=accuracy, shown=f"{100 * accuracy:.0f} %")
        for name, accuracy in sorted(result["per_class"].items(), key=lambda item: (item[1], item[0]))
    ]
    first, rest = lines[:NUM_BARS], lines[NUM_BARS:]
    more = folded(f"{number(len(rest))} more classes", bars(rest, longest=1.0)) if rest else ""
    return f'<div class="card"><h3>Accuracy by class</h3>{bars(first, longest=1.0)}{more}</div>'


def _confusion(result: Json) -> str:
    matrix, names = result["confusion"], result["class_names"]
    places = most_confused(matrix, MAX_CLASSES_DRAWN)
    chosen = [names[place] for place in places]
    whole = len(places) == len(names)
    return heat_map(
        title="Confusions" if whole else f"Confusions of the {len(places)} classes with the most errors",
        counts=[[matrix[truth][guess] for guess in places] for truth in places],
        x_names=chosen,
        y_names=chosen,
        x_label="predicted",
        y_label="truth",
        by_row=True,
        width=WIDE,
    )


def _worst(result: Json) -> str:
    """Return the worst classes, each with what it was taken for and pictures of its errors."""
    cards_of = []
    for name, accuracy, taken in worst_classes(result):
        own = [error for error in result.get("errors", ()) if error["truth"] == name][:3]
        pictures = cards([_error_card(error) for error in own], kind="pairs")
        head = f"<h3><bdi>{text(name)}</bdi>: {100 * accuracy:.0f} %</h3>"
        cards_of.append(
            f'<div class="card">{head}<p class="quiet">taken for: {text(taken)}</p>{pictures}</div>'
        )
    return f"<h3>Worst classes</h3>{cards(cards_of)}" if cards_of else ""


def _errors(errors: Sequence[Json]) -> str:
    surest = sorted(errors, key=lambda error: -error["confidence"])[:NUM_ERRORS_SHOWN]
    shown = [_error_card(error) for error in surest]
    intro = '<h3>Surest errors</h3><p class="quiet">Wrong, and how sure the model was.</p>'
    return intro + cards(shown, kind="pairs") if shown else ""


def _error_card(error: Json) -> str:
    truth, predicted = error["truth"], error["predicted"]
    try:
        picture = base64.b64decode(error["thumbnail"], validate=True)
    except binascii.Error:
        picture = b""  # shown as a picture that cannot be read
    return (
        f'<figure class="pair">{thumbnail(picture, alt=f"{truth}, taken for {predicted}")}'
        f'<figcaption class="words"><bdi>{text(truth)}</bdi><span class="measure">taken for '
        f"<bdi>{text(predicted)}</bdi></span>"
        f'<span class="quiet">{100 * error["confidence"]:.0f} % sure</span></figcaption></figure>'
    )


def _scalars(result: Json) -> Json:
    """Return the numbers of an evaluation, also those one level down, such as the recalls of a retrieval."""
    plain = {name: value for name, value in result.items() if isinstance(value, int | float)}
    nested = {
        name: value
        for name, value in result.items()
        if name != "per_class"
        and isinstance(value, dict)
        and all(isinstance(v, int | float) for v in value.values())
    }
    return plain | nested


def _flat(fields: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested fields as dotted names with their values as text."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", number(value)
        else:
            yield (
                f"{prefix}{name}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
            )


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
