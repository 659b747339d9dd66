"""How good a check is: what it drops of texts that people have labelled, at its limit and at other limits."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TextIO

from filters.checks import TextCheck, TextChecks
from filters.curve import draw_curve
from filters.sampling import priority
from filters.text import normalise_caption

Row = tuple[str, ...]

# Which limit of a check is moved, and through which values.
CURVES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "caption": ("min_letter_share", tuple(step / 20 for step in range(21))),
    "personal": ("telephones", (False, True)),
    "safety": ("min_severity", ("severe", "strong", "mild")),
    "language": ("min_english", tuple(step / 10 for step in range(21))),
    "toxicity": ("max_probability", (0.9, 0.7, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02, 0.01)),
}


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Measure a check on labelled texts: recall and precision, label by label, and at other limits.

    Example: python -m filters measure --check language --files sentences.jsonl.gz --label lang --keep en
    """

    check: Literal["caption", "personal", "safety", "language", "toxicity"]
    """The check to measure. Its limits are given as --text.language.min-english and so on."""
    files: tuple[Path, ...]
    """Labelled texts: .jsonl or .csv with a header, or either with .gz."""
    label: str
    """Column of the label."""
    keep: tuple[str, ...]
    """Labels of texts that should be kept; all others should be dropped."""
    text_column: str = "text"
    """Column of the text."""
    cut_to_words: bool = False
    """Cut each text to 3 to 20 words, as captions have; how many is drawn by hash."""
    picture: Path | None = None
    """Draw the curve into this PNG file."""
    text: TextChecks = TextChecks()


class Judged(NamedTuple):
    """What a check says of texts that should be kept or dropped."""

    num_bad: int  # texts that should be dropped
    num_good: int
    num_bad_dropped: int
    num_good_dropped: int

    @property
    def recall(self) -> float:
        """Share of what should be dropped that is, 0..1."""
        return self.num_bad_dropped / self.num_bad if self.num_bad else 0.0

    @property
    def good_dropped(self) -> float:
        """Share of what should be kept that is dropped, 0..1."""
        return self.num_good_dropped / self.num_good if self.num_good else 0.0

    @property
    def precision(self) -> float:
        """Share of what is dropped that should be, 0..1."""
        num_dropped = self.num_bad_dropped + self.num_good_dropped
        return self.num_bad_dropped / num_dropped if num_dropped else 0.0


def measured(request: Measure) -> Iterator[list[Row]]:
    """Yield tables: label by label, then the curve. Raises ValueError at files that cannot be read."""
    texts, labels = read_texts(request)
    check: TextCheck = getattr(request.text, request.check)
    measurements = list(check.measure_all(texts))
    yield by_label(check, measurements, labels, set(request.keep))
    name, limits = CURVES[request.check]
    curve = [
        (limit, judge(_moved(check, name, limit), measurements, labels, set(request.keep)))
        for limit in limits
    ]
    yield [(name, "recall", "precision", "good dropped"), *(_curve_row(*point) for point in curve)]
    if request.picture:
        title = f"{request.check}, {len(texts):,} texts: what is dropped, by {name}"
        lines = {
            "of what should be dropped (recall)": [judged.recall for _, judged in curve],
            "of what should be kept": [judged.good_dropped for _, judged in curve],
        }
        draw_curve(request.picture, title, [str(limit) for limit, _ in curve], lines)


def judge(check: TextCheck, measurements: list[Any], labels: list[str], keep: set[str]) -> Judged:
    """Return what a check says of measured texts."""
    drops = [
        (label in keep, check.check(measure) is not None)
        for label, measure in zip(labels, measurements, strict=True)
    ]
    count = Counter(drops)
    return Judged(
        num_bad=count[False, True] + count[False, False],
        num_good=count[True, True] + count[True, False],
        num_bad_dropped=count[False, True],
        num_good_dropped=count[True, True],
    )


def by_label(check: TextCheck, measurements: list[Any], labels: list[str], keep: set[str]) -> list[Row]:
    """Return a row for each label, those to keep first, then by the share dropped, and one for all."""
    dropped = [check.check(measure) is not None for measure in measurements]
    total, gone = Counter(labels), Counter(label for label, drop in zip(labels, dropped, strict=True) if drop)
    ordered = sorted(total, key=lambda label: (label not in keep, gone[label] / total[label], label))
    rows = [
        (label, "keep" if label in keep else "drop", str(total[label]), f"{gone[label] / total[label]:.1%}")
        for label in ordered
    ]
    judged = judge(check, measurements, labels, keep)
    shares = f"recall {judged.recall:.2%}, precision {judged.precision:.2%}"
    return [("label", "should", "texts", "dropped"), *rows, ("all", shares, str(len(labels)), "")]


def read_texts(request: Measure) -> tuple[list[str], list[str]]:
    """Return the normalised texts and their labels. Raises ValueError at files that cannot be read."""
    texts, labels = [], []
    for path in request.files:
        for row in _rows(path):
            missing = [name for name in (request.text_column, request.label) if row.get(name) is None]
            if missing:
                raise ValueError(f"--files {path}: a row has no {missing[0]!r}, but {', '.join(row)}")
            text = normalise_caption(str(row[request.text_column]))
            texts.append(cut_to_caption(text) if request.cut_to_words else text)
            labels.append(str(row[request.label]))
    if not texts:
        raise ValueError(
            "--files hold no text: give .jsonl or .csv files with a text and a label in each row"
        )
    return texts, labels


def cut_to_caption(text: str) -> str:
    """Return the first 3 to 20 words of a text; how many depends on the text alone."""
    return " ".join(text.split(" ")[: 3 + priority(text, salt="cut") % 18])


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with _opened(path) as lines:
            if path.name.removesuffix(".gz").endswith(".csv"):
                yield from csv.DictReader(lines)
            else:
                yield from map(json.loads, lines)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise ValueError(
            f"--files {path} cannot be read ({error}): give .jsonl or .csv, or .gz of it"
        ) from error


def _opened(path: Path) -> TextIO:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _moved(check: Any, name: str, limit: Any) -> TextCheck:
    moved: TextCheck = replace(check, **{name: limit})
    return moved


def _curve_row(limit: Any, judged: Judged) -> Row:
    return (str(limit), f"{judged.recall:.2%}", f"{judged.precision:.2%}", f"{judged.good_dropped:.2%}")
