"""The sections of a dataset's report that show pictures: kept pairs, duplicates, samples of every reason."""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.report.bars import plain
from manifests.report.charts import histogram
from manifests.report.data import PairFigures, ShownPair
from manifests.report.page import Section, cards, number, share, text
from manifests.report.pictures import cluster_cards, pair_card, rejection_card
from manifests.store import Dataset

NUM_KEPT_SHOWN = 24
NUM_REJECTIONS_SHOWN = 8  # of every reason
NUM_CLUSTERS_SHOWN = 12
MOST_COPIES = 9  # copies are counted one by one up to here, then by powers of two

Row = dict[str, Any]


def kept_section(dataset: Dataset, pairs: PairFigures, query_texts: Mapping[int, str]) -> Section:
    """Return a fair sample of the kept pairs, the same at every writing."""
    shown = [pair_card(dataset, pair, query_texts) for pair in shown_pairs(pairs)]
    body = (
        f'<p class="quiet">The {len(shown)} pairs whose keys sort first. Keys are hashes, so nobody chose '
        "this sample. Below each: the size of the picture as fetched, a link to its page or its host, and "
        "the search terms found in its caption.</p>"
    )
    return Section(anchor="kept", title="Kept pairs", body=body + cards(shown, kind="pairs") if shown else "")


def shown_pairs(pairs: PairFigures) -> list[ShownPair]:
    """Return the pairs that the report shows as a sample of all."""
    return pairs.lowest[:NUM_KEPT_SHOWN]


def duplicates_section(dataset: Dataset, groups: Mapping[str, Sequence[Row]], pairs: PairFigures) -> Section:
    """Return groups of sampled duplicates beside the pair that was kept, and the pairs with most copies."""
    # Of a sampled dataset most survivors are not at hand; groups that can be shown whole come first.
    keys = sorted(groups, key=lambda key: key not in pairs.survivors)[:NUM_CLUSTERS_SHOWN]
    bodies = cluster_cards(
        dataset, {key: groups[key][:NUM_REJECTIONS_SHOWN] for key in keys}, pairs.survivors, pairs.sample
    )
    copied = [
        pair_card(dataset, pair, {}, note=f"stands for {number(pair.row['num_duplicates'])} copies")
        for pair in pairs.most_copied
    ]
    parts = [_copies(pairs)] if copied else []
    if copied:
        parts.append(f"<h3>Pairs with most copies</h3>{cards(copied, kind='pairs')}")
    if bodies:
        parts.append(
            '<h3>Side by side</h3><p class="quiet">Framed: the pair that was kept. Beside it: what it '
            f"stands for, and how near.</p>{cards(bodies, kind='clusters')}"
        )
    return Section(anchor="duplicates", title="Duplicates", body="".join(parts))


def rejections_section(
    samples: Mapping[tuple[str, str], Sequence[Row]], counts: Mapping[tuple[str, str], int]
) -> Section:
    """Return samples of every reason with the measurement that dropped them."""
    bodies = [_reason(place, rows, counts.get(place, 0)) for place, rows in samples.items()]
    intro = '<p class="quiet">Texts dropped as unsafe are masked and their pictures are not shown.</p>'
    return Section(anchor="rejections", title="Rejected", body=intro + "".join(bodies) if bodies else "")


def rejections_anchor(stage: str, reason: str) -> str:
    """Return the id under which the samples of a reason stand on the page."""
    return text(f"rejected-{stage}-{reason}".replace(" ", "-"))


def _reason(place: tuple[str, str], rows: Sequence[Row], count: int) -> str:
    stage, reason = place
    shown = [rejection_card(row) for row in _distinct(rows)[:NUM_REJECTIONS_SHOWN]]
    dropped = f"{number(count)} dropped" if count else "tried again since"
    body = cards(shown, kind="pairs") or '<p class="quiet">No sample of this reason was kept.</p>'
    return (
        f'<h3 id="{rejections_anchor(stage, reason)}" tabindex="-1">{text(plain(reason))} '
        f'<small class="quiet">{text(plain(stage))}, {dropped}</small></h3>{body}'
    )


def _copies(pairs: PairFigures) -> str:
    """Return how many pairs stand for how many copies."""
    copies = pairs.copies
    named = [(str(n), copies[n]) for n in range(1, MOST_COPIES + 1)]
    low = MOST_COPIES + 1
    while low <= max(copies):
        named.append((f"{low}+", sum(copies[n] for n in range(low, 2 * low))))
        low *= 2
    alone = copies[0]
    chart = histogram(title="Copies of one pair", bins=named, x_label="copies that were dropped for it")
    return (
        f"<p>{share(copies.total() - alone, copies.total())} of the kept pairs stand for copies of their "
        f"picture that were dropped.</p>{cards([chart])}"
    )


def _distinct(rows: Sequence[Row]) -> list[Row]:
    """Return the first row of each caption and measurement: pages found often fill the samples."""
    first: dict[tuple[str, str], Row] = {}
    for row in rows:
        first.setdefault((row["caption"], row["detail"]), row)
    return list(first.values())
