"""The sections of a dataset's report on captions and on sizes of pictures, beside an earlier dataset's."""

from collections import Counter

from manifests.report.charts import Bins, histogram
from manifests.report.data import MAX_WORDS, PairFigures
from manifests.report.heat import heat_map
from manifests.report.origins import counted
from manifests.report.page import Section, cards


def captions_section(pairs: PairFigures, before: PairFigures | None = None) -> Section:
    """Return the lengths and languages of the kept captions, and where in their pages they stood."""
    old = before or PairFigures(sample=pairs.sample)
    bodies = [
        histogram(
            title="Length",
            bins=_words(pairs),
            before=_words(before) if before else None,
            x_label="words in the caption, two to a bin",
        ),
        histogram(
            title="Language score",
            bins=_language_scores(pairs),
            before=_language_scores(before) if before else None,
            x_label="score from, 0.05 to a bin",
        ),
        _card(counted("Languages", pairs.languages, old.languages)),
        _card(counted("Where captions stood", pairs.caption_origins, old.caption_origins)),
    ]
    return Section(anchor="captions", title="Captions", body=cards(bodies) if pairs.caption_words else "")


def sizes_section(pairs: PairFigures, before: PairFigures | None = None) -> Section:
    """Return the sizes and shapes of the pictures as they were fetched."""
    if not pairs.sizes:
        return Section(anchor="sizes", title="Picture sizes", body="")
    both = [pairs, *([before] if before else [])]
    sides = [side for figures in both for size in figures.sizes for side in size]
    steps = range(min(sides), max(sides) + 1)
    names = [f"{2 ** (step / 2):.0f}" for step in steps]
    aspects = [aspect for figures in both for aspect in figures.aspects]
    shapes = range(min(aspects), max(aspects) + 1)
    bodies = [
        heat_map(
            title="Width and height",
            counts=[[pairs.sizes[wide, high] for wide in steps] for high in reversed(steps)],
            x_names=names,
            y_names=names[::-1],
            x_label="width from, px",
            y_label="height from, px",
        ),
        histogram(
            title="Shorter side",
            bins=_shorter_sides(pairs, steps),
            before=_shorter_sides(before, steps) if before else None,
            x_label="px, half octaves",
        ),
        histogram(
            title="Aspect",
            bins=_aspects(pairs, shapes),
            before=_aspects(before, shapes) if before else None,
            x_label="width / height, half octaves",
        ),
    ]
    return Section(anchor="sizes", title="Picture sizes", body=cards(bodies))


def _words(pairs: PairFigures) -> Bins:
    lengths = pairs.caption_words
    return [
        (f"{low}" if low < MAX_WORDS else f"{MAX_WORDS}+", lengths[low] + lengths[low + 1])
        for low in range(0, MAX_WORDS + 1, 2)
    ]


def _language_scores(pairs: PairFigures) -> Bins:
    return [(f"{step / 20:.2f}", pairs.score_twentieths[step]) for step in range(20)]


def _shorter_sides(pairs: PairFigures, steps: range) -> Bins:
    shorter = Counter[int]()
    for size, count in pairs.sizes.items():
        shorter[min(size)] += count
    return [(f"{2 ** (step / 2):.0f}", shorter[step]) for step in steps]


def _aspects(pairs: PairFigures, steps: range) -> Bins:
    return [(f"{2 ** (step / 2):.2g}", pairs.aspects[step]) for step in steps]


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>' if body else ""
