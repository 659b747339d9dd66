"""Charts with axes, as SVG inside a figure: histogram, heat map, line chart. Values in, HTML out.

Every chart has a heading, a sentence that says what it shows to those who cannot see it, and axis labels.
A chart with nothing to show is an empty string, so that its section can leave it out.
"""

import math
from collections.abc import Iterator, Sequence

from manifests.report.page import folded, number, table, text

WIDTH, HEIGHT = 340, 220  # of the drawing, in SVG units; the page scales it to the column
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 26, 44  # margins that hold the labels
MAX_POINTS = 400  # more than the pixels of a line chart on a page

Point = tuple[float, float]


def histogram(*, title: str, bins: Sequence[tuple[str, int]], x_label: str, y_label: str = "pairs") -> str:
    """Return bars over named bins in their order; empty bins at both ends are cut off."""
    bins = _without_empty_ends(bins)
    if not bins:
        return ""
    most = max(count for _, count in bins)
    step = (WIDTH - LEFT - RIGHT) / len(bins)
    parts = [*_y_axis(0, most, y_label), _x_title(x_label)]
    every = math.ceil(len(bins) / 9)
    for place, (name, count) in enumerate(bins):
        x, y = LEFT + place * step, _y_of(count, 0, most)
        parts.append(
            f'<rect class="value" x="{x + step * 0.06:.1f}" y="{y:.1f}" width="{step * 0.88:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}"><title>{text(name)}: {number(count)}</title></rect>'
        )
        if place % every == 0:
            parts.append(_x_tick(x + step / 2, name))
    fullest = max(bins, key=lambda item: item[1])
    says = f"{title}: {len(bins)} bins of {x_label} from {bins[0][0]} to {bins[-1][0]}, most at {fullest[0]}"
    figures = folded("Figures", table((x_label, y_label), bins, caption=title))
    return _figure(title, parts, says, figures)


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
                shade = math.sqrt(count / whole)
                parts.append(
                    f'<rect class="heat" x="{left + x * side_x:.1f}" y="{TOP + y * side_y:.1f}" '
                    f'width="{side_x:.2f}" height="{side_y:.2f}" fill-opacity="{shade:.3f}">'
                    f"<title>{text(y_names[y])}, {text(x_names[x])}: {number(count)}</title></rect>"
                )
    every = math.ceil(13 / side_x)  # a line of text is about 13 units high
    for y in range(0, len(y_names), every):
        parts.append(_label(left - 6, TOP + (y + 0.5) * side_y + 4, y_names[y], "end"))
    for x in range(0, len(x_names), every):
        across, down = left + (x + 0.5) * side_x, bottom + 10
        parts.append(_label(across + 4, down, x_names[x], "end", turn=f"rotate(-45 {across + 4:.1f} {down})"))
    parts.append(f'<path class="grid" fill="none" d="M{left} {TOP}V{bottom:.1f}H{width - RIGHT}"/>')
    parts.append(_label((left + width - RIGHT) / 2, foot, x_label, "middle"))
    parts.append(_label(2, 12, y_label, "start"))
    says = f"{title}: {len(y_names)} rows of {y_label}, {len(x_names)} columns of {x_label}"
    return _figure(title, parts, says, "", width=width, height=round(foot) + 8)


def line_chart(*, title: str, points: Sequence[Point], x_label: str, y_label: str, width: int = WIDTH) -> str:
    """Return a curve through the points in their order of x; values that are not finite are counted below.

    A `width` beyond the common one takes two columns of the page.
    """
    drawn = thin([point for point in points if math.isfinite(point[1])])
    if not drawn:
        return ""
    ys = [y for _, y in drawn]
    low, high = min(ys), max(ys)
    first, last = drawn[0][0], drawn[-1][0]
    wide = (last - first) or 1.0
    scale = (width - LEFT - RIGHT) / wide
    path = " ".join(f"{LEFT + (x - first) * scale:.1f},{_y_of(y, low, high):.1f}" for x, y in drawn)
    parts = [*_y_axis(low, high, y_label, width), _x_title(x_label, width)]
    for x in nice_ticks(first, last):
        if first <= x <= last:
            parts.append(_x_tick(LEFT + (x - first) * scale, number(_whole(x))))
    if len(drawn) == 1:
        across, down = path.split(",")
        parts.append(f'<circle class="value" cx="{across}" cy="{down}" r="3"/>')
    parts.append(f'<polyline class="curve" points="{path}"/>')
    says = (
        f"{title}: {y_label} goes from {number(ys[0])} at {x_label} {number(_whole(first))} to "
        f"{number(ys[-1])} at {number(_whole(last))}; lowest {number(min(ys))}, highest {number(max(ys))}"
    )
    lost = len(points) - sum(math.isfinite(y) for _, y in points)
    note = f"<figcaption>{number(lost)} values are not finite and are not drawn.</figcaption>" if lost else ""
    return _figure(title, parts, says, note, width=width)


def thin(points: Sequence[Point], max_points: int = MAX_POINTS) -> list[Point]:
    """Return at most `max_points` points: the means of runs of neighbours of equal length.

    >>> thin([(0, 1.0), (1, 3.0), (2, 5.0), (3, 7.0)], max_points=2)
    [(0.5, 2.0), (2.5, 6.0)]
    """
    run = max(1, math.ceil(len(points) / max_points))
    return [_mean(points[first : first + run]) for first in range(0, len(points), run)]


def nice_ticks(low: float, high: float, num_ticks: int = 5) -> list[float]:
    """Return round values from at most `low` to at least `high`, 1, 2 or 5 times a power of ten apart.

    >>> nice_ticks(0, 23)
    [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    """
    spread = (high - low) or abs(high) or 1.0
    rough = spread / num_ticks
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]


def _short(name: str, max_letters: int = 16) -> str:
    half = max_letters // 2
    return name if len(name) <= max_letters else f"{name[:half]}…{name[1 - half :]}"


def _mean(points: Sequence[Point]) -> Point:
    if len(points) == 1:
        return points[0]
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _whole(value: float) -> float:
    """Return 20.0 as 20, for a label without a point."""
    return int(value) if float(value).is_integer() else value


def _without_empty_ends(bins: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    filled = [place for place, (_, count) in enumerate(bins) if count]
    return bins[filled[0] : filled[-1] + 1] if filled else ()


def _y_of(value: float, low: float, high: float) -> float:
    ticks = nice_ticks(low, high)
    bottom, top = ticks[0], ticks[-1]
    return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)


def _y_axis(low: float, high: float, label: str, width: int = WIDTH) -> Iterator[str]:
    for tick in nice_ticks(low, high):
        y = _y_of(tick, low, high)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{width - RIGHT}"/>'
        yield _label(LEFT - 6, y + 4, number(_whole(tick)), "end")
    yield _label(2, 12, label, "start")


def _x_tick(x: float, name: str) -> str:
    return _label(x, HEIGHT - BOTTOM + 16, name, "middle")


def _x_title(label: str, width: int = WIDTH) -> str:
    return _label((LEFT + width - RIGHT) / 2, HEIGHT - 8, label, "middle")


def _label(x: float, y: float, words: str, anchor: str, turn: str = "") -> str:
    turned = f' transform="{turn}"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{text(words)}</text>'


def _figure(
    title: str, parts: Sequence[str], says: str, below: str, width: int = WIDTH, height: int = HEIGHT
) -> str:
    span = ' class="wide"' if width > WIDTH else ""
    return (
        f'<figure{span}><h3>{text(title)}</h3><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{text(says)}">{"".join(parts)}</svg>{below}</figure>'
    )
