"""Heat maps: two-dimensional histograms and confusion matrices, as SVG inside a figure."""

import math
from collections.abc import Sequence

from manifests.report.page import number, text
from manifests.report.svg import RIGHT, TOP, WIDTH, figure, label_at

FAINTEST = 0.1  # of the strongest shade: one among thousands can be seen


def heat_map(
    *,
    title: str,
    counts: Sequence[Sequence[int]],
    x_names: Sequence[str],
    y_names: Sequence[str],
    x_label: str,
    y_label: str,
    by_row: bool = False,
    width: int = WIDTH,
) -> str:
    """Return a grid of cells, darker for more; `counts[y][x]` with the first row on top.

    With `by_row` a cell's shade is its share of its row, otherwise its share of the fullest cell; the shade
    follows the square root, so that a few errors among many hits can be seen. A `width` beyond the common
    one takes two columns of the page.
    """
    fullest = max((count for row in counts for count in row), default=0)
    if not fullest:
        return ""
    x_names, y_names = [_short(name) for name in x_names], [_short(name) for name in y_names]
    left = 12 + 7 * max(len(name) for name in y_names)
    side_x = side_y = (width - left - RIGHT) / len(x_names)
    bottom = TOP + side_y * len(y_names)
    foot = bottom + 24 + 5 * max(len(name) for name in x_names)
    parts = []
    for y, row in enumerate(counts):
        whole = sum(row) if by_row else fullest
        for x, count in enumerate(row):
            if count:
                shade = FAINTEST + (1 - FAINTEST) * math.sqrt(count / whole)
                parts.append(
                    f'<rect class="heat" x="{left + x * side_x:.1f}" y="{TOP + y * side_y:.1f}" '
                    f'width="{side_x:.2f}" height="{side_y:.2f}" fill-opacity="{shade:.3f}">'
                    f"<title>{text(y_names[y])}, {text(x_names[x])}: {number(count)}</title></rect>"
                )
    every = math.ceil(13 / side_x)  # a line of text is about 13 units high
    for y in range(0, len(y_names), every):
        parts.append(label_at(left - 6, TOP + (y + 0.5) * side_y + 4, y_names[y], "end"))
    for x in range(0, len(x_names), every):
        across, down = left + (x + 0.5) * side_x, bottom + 10
        parts.append(
            label_at(across + 4, down, x_names[x], "end", turn=f"rotate(-45 {across + 4:.1f} {down})")
        )
    parts.append(f'<path class="grid" fill="none" d="M{left} {TOP}V{bottom:.1f}H{width - RIGHT}"/>')
    parts.append(label_at((left + width - RIGHT) / 2, foot, x_label, "middle"))
    parts.append(label_at(2, 12, y_label, "start"))
    says = f"{title}: {len(y_names)} rows of {y_label}, {len(x_names)} columns of {x_label}"
    return figure(title, parts, says, "", width=width, height=round(foot) + 8)


def _short(name: str, max_letters: int = 16) -> str:
    half = max_letters // 2
    return name if len(name) <= max_letters else f"{name[:half]}…{name[1 - half :]}"
