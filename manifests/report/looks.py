"""The section of a dataset's report on how its pictures look: colours, contrast, entropy."""

import numpy as np

from manifests.report import colours, pixels
from manifests.report.charts import Bins, histogram
from manifests.report.colours import ColourFigures, colour_map
from manifests.report.data import PairFigures
from manifests.report.page import Section, cards, number
from manifests.report.pixels import PixelFigures, measure_pictures
from manifests.store import Dataset

ENTROPY_BINS = int(8 / pixels.ENTROPY_STEP) + 1
CONTRAST_BINS = 128 // pixels.CONTRAST_STEP


def measure_looks(dataset: Dataset, pairs: PairFigures) -> PixelFigures:
    """Return the measures of the pictures of the pairs with the lowest keys."""
    return measure_pictures(pair.picture(dataset) for pair in pairs.lowest)


def looks_section(
    pairs: PairFigures,
    pictures: PixelFigures,
    before: tuple[PairFigures, PixelFigures] | None = None,
) -> Section:
    """Return the mean colours of the pictures, how their contrast and entropy are distributed."""
    if not pictures.num_measured:
        return Section(anchor="looks", title="Colours and detail", body="")
    found = pairs.colours if pairs.colours.counts else _of_pictures(pictures)
    old_pairs, old = before or (None, None)
    bodies = [
        colour_map(found),
        histogram(
            title="Contrast within pictures",
            bins=_of_cells(pairs),
            before=_of_cells(old_pairs) if old_pairs else None,
            x_label="deviation of 16 cells' greys, levels of 255",
        ),
        histogram(
            title="Contrast of pixels",
            bins=_steps(pictures.contrasts, pixels.CONTRAST_STEP, CONTRAST_BINS),
            before=_steps(old.contrasts, pixels.CONTRAST_STEP, CONTRAST_BINS) if old else None,
            x_label="deviation of greys, levels of 255",
            y_label="pictures",
        ),
        histogram(
            title="Entropy",
            bins=_steps(pictures.entropies, pixels.ENTROPY_STEP, ENTROPY_BINS),
            before=_steps(old.entropies, pixels.ENTROPY_STEP, ENTROPY_BINS) if old else None,
            x_label="bits of a grey; a flat picture has 0, noise 8",
            y_label="pictures",
        ),
    ]
    return Section(anchor="looks", title="Colours and detail", body=_intro(pictures) + cards(bodies))


def _intro(pictures: PixelFigures) -> str:
    lost = f"; {number(pictures.num_unreadable)} could not be read" if pictures.num_unreadable else ""
    return (
        '<p class="quiet">Entropy and the contrast of pixels were measured in '
        f"{number(pictures.num_measured)} decoded pictures, those whose keys sort first{lost}.</p>"
    )


def _of_pictures(pictures: PixelFigures) -> ColourFigures:
    """Return the colours of the decoded pictures, for a dataset whose index has none."""
    found = ColourFigures()
    found.add_means(np.array(pictures.means))
    return found


def _of_cells(pairs: PairFigures) -> Bins:
    return _steps(pairs.colours.contrasts, colours.CONTRAST_STEP, CONTRAST_BINS)


def _steps(counts: dict[int, int], step: float, num_bins: int) -> Bins:
    return [(f"{place * step:g}", counts.get(place, 0)) for place in range(num_bins)]
