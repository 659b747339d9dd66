"""The page that a threshold is picked on: an evaluation's pictures beside the nearest of training."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.report.page import Section, cards, number, render_page, text
from manifests.report.pictures import thumbnail

MAX_PAIRS_PER_BAND = 24


@dataclass(frozen=True, kw_only=True)
class Band:
    """Pairs that are about as near."""

    name: str
    counts: bool  # as an overlap, by the threshold that was given
    rows: list[int]  # of the evaluation's pictures


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """A picture of the evaluation and the training picture that is nearest to it."""

    place: str  # of the evaluation's picture
    label: str
    picture: bytes
    training: tuple[str, str, bytes]  # caption, address and picture


def pairs_page(name: str, threshold: str, bands: Sequence[Band], pairs: Sequence[Sequence[ShownPair]]) -> str:
    """Return the page of an evaluation's pairs: those that are shown of each band, nearest first."""
    summary = (
        f"<p>Each picture of {text(name)} beside the nearest of the training pictures. Counted as an "
        f"overlap: <strong>{text(threshold)}</strong>. Where the pairs stop being the same picture, the "
        f"threshold is too loose; where pairs beyond it still are, too strict.</p>"
    )
    return render_page(
        title=f"Overlap of {name} with the training pictures",
        summary=summary,
        sections=[
            _section(place, band, shown) for place, (band, shown) in enumerate(zip(bands, pairs, strict=True))
        ],
    )


def _section(place: int, band: Band, pairs: Sequence[ShownPair]) -> Section:
    counted = "counted as an overlap" if band.counts else "not counted"
    shown = f", {len(pairs)} shown" if len(pairs) < len(band.rows) else ""
    intro = f'<p class="quiet">{number(len(band.rows))} pairs{shown}; {counted}</p>'
    body = intro + cards([_card(pair) for pair in pairs], kind="clusters")
    return Section(anchor=f"band-{place}", title=band.name, body=body)


def _card(pair: ShownPair) -> str:
    caption, address, picture = pair.training
    return (
        f'<div class="card cluster"><div class="pairs">'
        f"{_figure(pair.picture, pair.label, pair.place)}{_figure(picture, caption, address)}</div></div>"
    )


def _figure(picture: bytes, words: str, origin: str) -> str:
    return (
        f'<figure class="pair">{thumbnail(picture, alt=words)}<figcaption class="words">'
        f'<bdi class="caption">{text(words)}</bdi><span class="quiet"><bdi>{text(origin[-60:])}</bdi></span>'
        f"</figcaption></figure>"
    )
