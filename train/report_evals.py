"""The part of a run's report that shows an evaluation: accuracy, confusions, worst classes, surest errors."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from manifests.report.bars import Bar, bars
from manifests.report.curves import Series, curves
from manifests.report.heat import heat_map
from manifests.report.page import Section, cards, facts, folded, number, share, text
from manifests.report.pictures import thumbnail
from train.report_analyses import analyses

MAX_CLASSES_DRAWN = 30  # in a confusion matrix: more names than that cannot be read
NUM_BARS = 20  # of classes; the others are folded
NUM_WORST_CLASSES = 12
NUM_ERRORS_SHOWN = 24
AVERAGED = "_averaged"  # ends the names of what averaged weights gave
CONFUSION_WIDTH = 700  # SVG units: two columns of the page

Json = dict[str, Any]


def evaluation_section(place: int, result: Json) -> Section:
    """Return what an evaluation found; `place` tells the anchors of several apart."""
    chance = {"Chance": share(1, len(result["class_names"]))} if result.get("class_names") else {}
    known = {
        "Top-1": f"{100 * result['top1']:.1f} %" if "top1" in result else None,
        "Top-5": f"{100 * result['top5']:.1f} %" if "top5" in result else None,
        **chance,
        "Pictures": number(result["num_pictures"]) if "num_pictures" in result else None,
        "Unreadable pictures": len(result.get("bad_pictures", ())) or None,
        "Data": result.get("data"),
        "Step": number(result["step"]) if "step" in result else None,
        "Metric": _metric(result) if "interval" in result else None,
        "Note": result.get("note") or None,
    }
    said = {"eval", "name", "data", "step", "num_pictures", "top1", "top5", "value", "compute"}
    others = [(name, value) for name, value in flat(_scalars(result)) if name not in said]
    body = facts([*known.items(), *others]) + analyses(result)
    if result.get("confusion") and result.get("per_class"):
        body += cards([_per_class(result), _confusion(result)]) + _worst(result)
    body += _errors(result.get("errors", ()))
    if result.get("templates"):
        body += folded("Templates", f'<pre tabindex="0">{text(chr(10).join(result["templates"]))}</pre>')
    return Section(
        anchor=f"eval-{place}", title=f"{result['name']} ({result['eval'].replace('_', ' ')})", body=body
    )


def _metric(result: Json) -> str:
    """Return a metric with its interval."""
    low, high = (100 * bound for bound in result["interval"])
    return f"{result['metric'].replace('_', ' ')} {100 * result['value']:.1f} % ({low:.1f} to {high:.1f})"


def evaluation_curves(lines: Sequence[Json]) -> list[str]:
    """Return charts of the shares that a run's evaluations found on its way: one for each evaluation, and
    one for it by averaged weights."""
    charts: dict[str, list[Series]] = {}
    for name in dict.fromkeys(name for line in lines for name in line if "/" in name):
        kind, *place, measure = name.removesuffix(AVERAGED).split("/")
        title = f"{' '.join(place)} ({kind}{', averaged weights' if name.endswith(AVERAGED) else ''})"
        points = [(line["step"], line[name]) for line in lines if name in line]
        if not measure.endswith("rank"):
            series = Series(name=measure.replace("_", " "), points=points)
            charts.setdefault(title.replace("_", " "), []).append(series)
    return [
        curves(title=title, series=series, x_label="step", y_label="share")
        for title, series in charts.items()
    ]


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
        width=CONFUSION_WIDTH,
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


def flat(fields: Json, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield nested fields as dotted names with their values as text."""
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, float):
            yield f"{prefix}{name}", number(value)
        else:
            yield (
                f"{prefix}{name}",
                value if isinstance(value, str) else json.dumps(value, ensure_ascii=False),
            )
