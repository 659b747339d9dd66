"""The sections of a dataset's report that show pictures: kept pairs, duplicates, samples of every reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.report.bars import plain
from manifests.report.data import PairFigures, QueryFigures
from manifests.report.page import Section, cards, text
from manifests.report.pictures import cluster_cards, pair_card, rejection_card
from manifests.store import Dataset

NUM_REJECTIONS_SHOWN = 8  # of every reason

Row = dict[str, Any]


def kept_section(dataset: Dataset, pairs: PairFigures, queries: QueryFigures) -> Section:
    """Return a fair sample of the kept pairs, the same at every writing."""
    shown = [pair_card(dataset, pair, queries.texts) for pair in pairs.kept_sample]
    body = (
        f'<p class="quiet">The {len(shown)} pairs whose keys sort first. Keys are hashes, so nobody chose '
        "this sample. Below each: the size of the picture as fetched, its host, and the search terms "
        "found in its caption.</p>"
    )
    return Section(anchor="kept", title="Kept pairs", body=body + cards(shown, kind="pairs") if shown else "")


def duplicates_section(dataset: Dataset, groups: Mapping[str, Sequence[Row]], pairs: PairFigures) -> Section:
    """Return groups of sampled duplicates beside the pair that was kept for them."""
    bodies = cluster_cards(
        dataset, {key: rows[:NUM_REJECTIONS_SHOWN] for key, rows in groups.items()}, pairs.survivors
    )
    intro = (
        '<p class="quiet">Framed: the pair that was kept. Beside it: what it stands for, and how near.</p>'
    )
    return Section(
        anchor="duplicates",
        title="Duplicates side by side",
        body=intro + cards(bodies, kind="clusters") if bodies else "",
    )


def rejections_section(samples: Mapping[tuple[str, str], Sequence[Row]]) -> Section:
    """Return samples of every reason with the measurement that dropped them."""
    bodies = [
        f'<h3 id="{rejections_anchor(stage, reason)}">{text(plain(reason))} '
        f'<small class="quiet">{text(plain(stage))}</small></h3>'
        f"{cards([rejection_card(row) for row in _distinct(rows)[:NUM_REJECTIONS_SHOWN]], kind='pairs')}"
        for (stage, reason), rows in samples.items()
    ]
    intro = '<p class="quiet">Texts dropped as unsafe are masked and their pictures are not shown.</p>'
    return Section(anchor="rejections", title="Rejected", body=intro + "".join(bodies) if bodies else "")


def rejections_anchor(stage: str, reason: str) -> str:
    """Return the id under which the samples of a reason stand on the page."""
    return text(f"rejected-{stage}-{reason}".replace(" ", "-"))


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the first row of each caption and measurement: pages found often fill the samples."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        first.setdefault((row["caption"], row["detail"]), row)
    return list(first.values())
