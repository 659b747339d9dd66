"""Charts with axes, as SVG inside a figure: histogram, heat map, line chart. Values in, HTML out.

Every chart has a heading, a sentence that says what it shows to those who cannot see it, and axis labels.
A chart with nothing to show is an empty string, so that its section can leave it out.
"""

import math
from collections.abc import Iterator, Sequence

from manifests.report.page import folded, number, table, text
from manifests.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, label_at

MAX_POINTS = 400  # more than the pixels of a line chart on a page

Point = tuple[float, float]


Bins = Sequence[tuple[str, int]]


def histogram(
    *, title: str, bins: Bins, x_label: str, y_label: str = "pairs", before: Bins | None = None
) -> str:
    """Return bars over named bins in their order; bins at both ends that are empty are cut off.

    With the same bins of an earlier dataset as `before`, both are drawn in per cent of their own sum, the
    earlier one as a line: datasets differ in size.
    """
    pairs = list(zip(bins, before or bins, strict=True))
    bins, before = _without_empty_ends(bins, pairs), _without_empty_ends(before or (), pairs)
    if not any(count for _, count in bins):
        return ""
    shares, lines = _per_cent(bins), _per_cent(before)
    values = shares if lines else [float(count) for _, count in bins]
    most = max([*values, *lines])
    step = (WIDTH - LEFT - RIGHT) / len(bins)
    y_axis = f"% of {y_label}" if lines else y_label
    parts = [*_y_axis(0, most, y_axis), _x_title(x_label)]
    every = math.ceil(len(bins) / 9)
    for place, ((name, count), value) in enumerate(zip(bins, values, strict=True)):
        x, y = LEFT + place * step, _y_of(value, 0, most)
        parts.append(
            f'<rect class="value" x="{x + step * 0.06:.1f}" y="{y:.1f}" width="{step * 0.88:.1f}" '
            f'height="{HEIGHT - BOTTOM - y:.1f}"><title>{text(name)}: {number(count)}</title></rect>'
        )
        if place % every == 0:
            parts.append(_x_tick(x + step / 2, name))
    if lines:
        steps = "".join(f"V{_y_of(value, 0, most):.1f}h{step:.2f}" for value in lines)
        parts.append(f'<path class="before" d="M{LEFT} {HEIGHT - BOTTOM}{steps}V{HEIGHT - BOTTOM}"/>')
    fullest = max(bins, key=lambda item: item[1])
    says = f"{title}: {len(bins)} bins of {x_label} from {bins[0][0]} to {bins[-1][0]}, most at {fullest[0]}"
    columns, rows = [x_label, y_label], [list[object](row) for row in bins]
    if lines:
        columns.append("before")
        rows = [[*row, old] for row, (_, old) in zip(rows, before, strict=True)]
    return figure(title, parts, says, folded("Figures", table(columns, rows, caption=title)))


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
    return figure(title, parts, says, note, width=width)


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


def _mean(points: Sequence[Point]) -> Point:
    if len(points) == 1:
        return points[0]
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)


def _whole(value: float) -> float:
    """Return 20.0 as 20, for a label without a point."""
    return int(value) if float(value).is_integer() else value


def _without_empty_ends(bins: Bins, pairs: Sequence[tuple[tuple[str, int], tuple[str, int]]]) -> Bins:
    """Return the bins from the first to the last that is filled in either of the two."""
    filled = [place for place, (one, two) in enumerate(pairs) if one[1] or two[1]]
    return bins[filled[0] : filled[-1] + 1] if filled else ()


def _per_cent(bins: Bins) -> list[float]:
    whole = sum(count for _, count in bins)
    return [100 * count / whole for _, count in bins] if whole else []


def _y_of(value: float, low: float, high: float) -> float:
    ticks = nice_ticks(low, high)
    bottom, top = ticks[0], ticks[-1]
    return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)


def _y_axis(low: float, high: float, label: str, width: int = WIDTH) -> Iterator[str]:
    for tick in nice_ticks(low, high):
        y = _y_of(tick, low, high)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{width - RIGHT}"/>'
        yield label_at(LEFT - 6, y + 4, number(_whole(tick)), "end")
    yield label_at(2, 12, label, "start")


def _x_tick(x: float, name: str) -> str:
    return label_at(x, HEIGHT - BOTTOM + 16, name, "middle")


def _x_title(label: str, width: int = WIDTH) -> str:
    return label_at((LEFT + width - RIGHT) / 2, HEIGHT - 8, label, "middle")
