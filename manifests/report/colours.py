"""The colours of pictures: counted by hue and lightness, drawn as a map of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from manifests.report.page import number, share, text
from manifests.report.svg import WIDTH, figure, label_at

HUES = ("grey", "red", "orange", "yellow", "green", "teal", "blue", "violet", "pink")
# Where each hue begins, in degrees; from 345 on it is red again.
STARTS = (15, 42, 70, 155, 195, 255, 290, 345)
LIGHTS = ("darkest", "dark", "middle", "light", "lightest")
MIN_CHROMA = 20  # of 255: below it a colour is a grey
NUM_CELLS = 16  # of a picture, whose means of red, green and blue stand in the index
CONTRAST_STEP = 8  # levels of 255

Cell = tuple[int, int]  # place in HUES, place in LIGHTS


@dataclass(slots=True)
class ColourFigures:
    """Pictures by the hue and lightness of their mean colour, and by the contrast of their parts."""

    counts: Counter[Cell] = field(default_factory=Counter)
    sums: dict[Cell, NDArray[np.float64]] = field(default_factory=dict)  # (3,) of the mean colours
    contrasts: Counter[int] = field(default_factory=Counter)  # of the cells' greys, by CONTRAST_STEP

    def add_cells(self, cells: Sequence[str]) -> None:
        """Count pictures by the column `colours`: 96 hex digits, mean RGB of 4 x 4 cells."""
        if not cells:
            return
        values = np.frombuffer(bytes.fromhex("".join(cells)), np.uint8).reshape(len(cells), NUM_CELLS, 3)
        self.add_means(values.mean(axis=1))
        greys = values @ np.array([0.299, 0.587, 0.114])
        steps, counts = np.unique(greys.std(axis=1) // CONTRAST_STEP, return_counts=True)
        self.contrasts.update(dict(zip(steps.astype(int).tolist(), counts.tolist(), strict=True)))

    def add_means(self, means: NDArray[np.float64]) -> None:
        """Count pictures by their mean colours (N, 3) in levels of 255."""
        hues, lights = hue_places(means), light_places(means)
        places, which, counts = np.unique(
            np.stack([hues, lights], axis=1), axis=0, return_inverse=True, return_counts=True
        )
        for place, (hue, light) in enumerate(places.tolist()):
            self.counts[hue, light] += int(counts[place])
            total = means[which.reshape(-1) == place].sum(axis=0)
            self.sums[hue, light] = self.sums.get((hue, light), np.zeros(3)) + total


def hue_places(colours: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each colour (N, 3) its place in HUES (N,)."""
    red, green, blue = colours.T
    high, low = colours.max(axis=1), colours.min(axis=1)
    chroma = np.maximum(high - low, 1e-9)
    degrees = np.select(
        [high == red, high == green],
        [(green - blue) / chroma % 6, (blue - red) / chroma + 2],
        (red - green) / chroma + 4,
    )
    places = 1 + np.searchsorted(STARTS, np.round(degrees * 60, 9), side="right") % len(STARTS)
    return np.where(high - low < MIN_CHROMA, 0, places)


def light_places(colours: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each colour (N, 3) its place in LIGHTS (N,), by its grey."""
    greys = colours @ np.array([0.299, 0.587, 0.114])
    places: NDArray[np.int64] = (greys * len(LIGHTS) / 256).astype(np.int64)
    return places


def colour_map(figures: ColourFigures) -> str:
    """Return squares in the mean colours of pictures, by hue and lightness, as large as their shares."""
    if not figures.counts:
        return ""
    left, top = 58, 8
    side = (WIDTH - left - 4) / len(HUES)
    bottom = top + side * len(LIGHTS)
    most, total = max(figures.counts.values()), figures.counts.total()
    parts = [
        label_at(left - 6, top + (len(LIGHTS) - 0.5 - y) * side + 4, n, "end") for y, n in enumerate(LIGHTS)
    ]
    for x, name in enumerate(HUES):
        across = left + (x + 0.5) * side + 4
        parts.append(
            label_at(across, bottom + 12, name, "end", f"rotate(-45 {across:.1f} {bottom + 12:.1f})")
        )
    for (hue, light), count in sorted(figures.counts.items()):
        size = max(2.0, (count / most) ** 0.5 * (side - 2))
        across, down = left + (hue + 0.5) * side, top + (len(LIGHTS) - 0.5 - light) * side
        red, green, blue = (round(value / count) for value in figures.sums[hue, light])
        parts.append(
            f'<rect class="swatch" x="{across - size / 2:.1f}" y="{down - size / 2:.1f}" width="{size:.1f}" '
            f'height="{size:.1f}" rx="2" style="fill:rgb({red},{green},{blue})"><title>{LIGHTS[light]} '
            f"{HUES[hue]}: {number(count)} ({share(count, total)})</title></rect>"
        )
    (hue, light), count = max(figures.counts.items(), key=lambda item: (item[1], item[0]))
    often = f"{share(count, total)}, are {LIGHTS[light]} {HUES[hue]}"
    says = f"Mean colours of {number(total)} pictures; most, {often}"
    note = f"<figcaption>{text(says)}. The area of a square is its share.</figcaption>"
    return figure("Mean colour", parts, says, note, height=round(bottom) + 44)
