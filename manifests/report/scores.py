"""The section of a dataset's report that shows its scores: a histogram for each name."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.report.charts import histogram, nice_ticks
from manifests.report.page import Section, cards, number
from manifests.store import Dataset

NUM_BINS = 30


@dataclass(slots=True)
class ScoreFigures:
    """The scores of one name: bins of equal width from `edges[0]` on, and the pairs without a score."""

    edges: list[float]
    counts: Counter[int] = field(default_factory=Counter)
    num_missing: int = 0


def collect_scores(dataset: Dataset) -> dict[str, ScoreFigures]:
    """Return the scores of a dataset by name; it is read twice, one shard at a time."""
    ranges: dict[str, tuple[float, float]] = {}
    for name, values, _ in _columns(dataset):
        if values:
            low, high = ranges.get(name, (math.inf, -math.inf))
            ranges[name] = (min(low, *values), max(high, *values))
    found = {name: ScoreFigures(nice_ticks(*between, NUM_BINS)) for name, between in ranges.items()}
    for name, values, num_missing in _columns(dataset):
        if name in found:
            figures, edges = found[name], found[name].edges
            last, width = len(edges) - 2, edges[1] - edges[0]
            figures.num_missing += num_missing
            figures.counts.update(
                min(last, max(0, math.floor((value - edges[0]) / width))) for value in values
            )
    return found


def scores_section(scores: dict[str, ScoreFigures]) -> Section:
    """Return how the scores of the kept pairs are distributed."""
    charts = [
        histogram(
            title=name,
            bins=[(number(edge), figures.counts[place]) for place, edge in enumerate(figures.edges[:-1])],
            x_label=f"score from, {number(figures.edges[1] - figures.edges[0])} to a bin",
        )
        for name, figures in scores.items()
    ]
    missing = [
        f"{number(figures.num_missing)} pairs have no {name}"
        for name, figures in scores.items()
        if figures.num_missing
    ]
    note = f'<p class="quiet">{"; ".join(missing)}.</p>' if missing else ""
    return Section(anchor="scores", title="Scores", body=cards(charts) + note if charts else "")


def _columns(dataset: Dataset) -> Iterator[tuple[str, list[float], int]]:
    """Yield from each shard the scores of each name, and how many pairs have none of that name."""
    for shard in dataset.manifest.shards:
        path = dataset.root / shard.index.path
        if "scores" not in pq.read_schema(path).names:
            continue
        column = pq.read_table(path, columns=["scores"])["scores"].combine_chunks()
        names, items = column.keys, column.items
        for name in pc.unique(names).to_pylist():
            values = pc.drop_null(items.filter(pc.equal(names, name))).to_pylist()
            yield name, values, len(column) - len(values)
