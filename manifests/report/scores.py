"""The section of a dataset's report that shows its scores: a histogram for each name."""

import math
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from manifests.report.charts import histogram, nice_ticks
from manifests.report.data import PairFigures
from manifests.report.page import Section, cards, number

NUM_BINS = 30


def scores_section(pairs: PairFigures, before: PairFigures | None = None) -> Section:
    """Return how the scores of the kept pairs are distributed, beside those of an earlier dataset."""
    charts, missing = [], []
    for name, chunks in pairs.scores.items():
        old = before.scores.get(name, []) if before else []
        edges = edges_for([*chunks, *old])
        if not edges:
            continue
        charts.append(
            histogram(
                title=name,
                bins=score_bins(chunks, edges),
                x_label=f"score from, {number(edges[1] - edges[0])} to a bin",
                before=score_bins(old, edges) if old else None,
            )
        )
        without = pairs.sample.num_pairs - sum(map(len, chunks))
        missing += [f"{number(without)} pairs have no {name}"] if without else []
    note = f'<p class="quiet">{"; ".join(missing)}.</p>' if missing else ""
    return Section(anchor="scores", title="Scores", body=cards(charts) + note if charts else "")


def edges_for(chunks: Sequence[pa.Array]) -> list[float]:
    """Return where bins of equal width begin and end that hold all scores; none where there is no score."""
    found = [pc.min_max(chunk).as_py() for chunk in chunks if len(chunk)]
    if not found:
        return []
    return nice_ticks(min(each["min"] for each in found), max(each["max"] for each in found), NUM_BINS)


def score_bins(chunks: Sequence[pa.Array], edges: Sequence[float]) -> list[tuple[str, int]]:
    """Return how many scores lie in each bin; the last one holds its upper edge, too."""
    last, width = len(edges) - 2, edges[1] - edges[0]
    counts = Counter[int]()
    for chunk in chunks:
        for value in chunk.to_pylist():
            counts[min(last, max(0, math.floor((value - edges[0]) / width)))] += 1
    return [(number(edge), counts[place]) for place, edge in enumerate(edges[:-1])]
