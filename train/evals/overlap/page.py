"""The page that a threshold is picked on: an evaluation's pictures beside the nearest of training."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.report.page import Section, cards, number, render_page, text
from manifests.report.pictures import thumbnail

MAX_PAIRS_PER_BAND = 24


@dataclass(frozen=True, kw_only=True)
class ShownPair:
    """A picture of the evaluation and the training picture that is nearest to it."""

    band: str  # "2 of 64 bits differ", "cosine 0.97 to 0.98": pairs of a band stand together
    counts: bool  # as an overlap, by the threshold that was given
    place: str  # of the evaluation's picture
    label: str
    picture: bytes
    caption: str  # of the training picture
    source: str  # of the training picture
    training_picture: bytes


def pairs_page(name: str, threshold: str, num_in_band: dict[str, int], pairs: Sequence[ShownPair]) -> str:
    """Return the page of an evaluation's pairs, in the order given, which is nearest first."""
    bands = dict.fromkeys(pair.band for pair in pairs)
    sections = [
        _band(number_of, band, num_in_band[band], [pair for pair in pairs if pair.band == band])
        for number_of, band in enumerate(bands)
    ]
    summary = (
        f"<p>Each picture of {text(name)} beside the nearest of the training pictures. Counted as an "
        f"overlap: <strong>{text(threshold)}</strong>. Where the pairs stop being the same picture, the "
        f"threshold is too loose; where pairs beyond it still are, too strict.</p>"
    )
    return render_page(
        title=f"Overlap of {name} with the training pictures", summary=summary, sections=sections
    )


def _band(place: int, band: str, num_pairs: int, pairs: Sequence[ShownPair]) -> Section:
    counted = "counted as an overlap" if pairs[0].counts else "not counted"
    shown = f", {len(pairs)} shown" if len(pairs) < num_pairs else ""
    intro = f'<p class="quiet">{number(num_pairs)} pairs{shown}; {counted}</p>'
    body = intro + cards([_card(pair) for pair in pairs], kind="clusters")
    return Section(anchor=f"band-{place}", title=band, body=body)


def _card(pair: ShownPair) -> str:
    return (
        f'<div class="card cluster"><div class="pairs">'
        f"{_figure(pair.picture, pair.label, pair.place)}"
        f"{_figure(pair.training_picture, pair.caption, pair.source)}</div></div>"
    )


def _figure(picture: bytes, words: str, origin: str) -> str:
    return (
        f'<figure class="pair">{thumbnail(picture, alt=words)}<figcaption class="words">'
        f'<bdi class="caption">{text(words)}</bdi><span class="quiet"><bdi>{text(origin[-80:])}</bdi></span>'
        f"</figcaption></figure>"
    )
