"""Several named curves, or clouds of points, in one chart, with bands around them. Values in, HTML out."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from manifests.report.charts import Point, nice_ticks
from manifests.report.page import folded, number, table, text
from manifests.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, figure, label_at

NUM_LOOKS = 5  # colours and dashes of page.css; later series begin again
RADIUS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Points of one name in their order of x; those whose numbers are not finite are not drawn."""

    name: str
    points: Sequence[Point]
    bands: Sequence[tuple[float, float]] = ()  # low and high at every point, or none at all
    is_joined: bool = True  # by a line; otherwise a cloud of points

    def finite(self) -> list[Point]:
        """Return the points that can be drawn."""
        return [point for point in self.points if all(map(math.isfinite, point))]


def curves(
    *,
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    log_x: bool = False,
    width: int = WIDTH,
) -> str:
    """Return all series on the same axes with a legend and their figures; "" where there is no point.

    With `log_x`, x is drawn as the logarithm of 1 + x: 0 has its place, and ticks stand at the points.
    """
    shown = [one for one in series if one.finite()]
    if not shown:
        return ""
    axes = _Axes.around(shown, log_x, width)
    parts = [*axes.drawn(x_label, y_label)]
    for place, one in enumerate(shown):
        parts += _drawn(one, place % NUM_LOOKS, axes)
    keys = "".join(
        f'<li><svg class="key" viewBox="0 0 24 8" aria-hidden="true">'
        f'<path class="curve series-{place % NUM_LOOKS}" d="M0 4H24"/></svg>{text(one.name)}</li>'
        for place, one in enumerate(shown)
    )
    legend = f'<ul class="legend">{keys}</ul>' if len(shown) > 1 else ""
    rows = [[one.name, number(x), number(y)] for one in shown for x, y in one.finite()]
    figures = folded("Figures", table(["", x_label, y_label], rows, caption=title))
    says = "; ".join(
        f"{one.name} from {number(one.finite()[0][1])} to {number(one.finite()[-1][1])}" for one in shown
    )
    return figure(title, parts, f"{title}: {y_label} by {x_label}. {says}", legend + figures, width=width)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axes:
    """Where a point is drawn."""

    xs: tuple[float, float]
    y_ticks: Sequence[float]
    x_ticks: Sequence[float]
    bend: Callable[[float], float]
    width: int

    @classmethod
    def around(cls, series: Sequence[Series], log_x: bool, width: int) -> "_Axes":
        points = [point for one in series for point in one.finite()]
        ys = [y for _, y in points] + [y for one in series for band in one.bands for y in band]
        ys = [y for y in ys if math.isfinite(y)]
        xs = sorted({x for x, _ in points})
        ticks = xs if log_x else [x for x in nice_ticks(xs[0], xs[-1]) if xs[0] <= x <= xs[-1]]
        return cls(
            xs=(xs[0], xs[-1]),
            y_ticks=nice_ticks(min(ys), max(ys)),
            x_ticks=ticks,
            bend=math.log1p if log_x else float,
            width=width,
        )

    def at(self, x: float, y: float) -> tuple[float, float]:
        first, last = (self.bend(edge) for edge in self.xs)
        across = (self.bend(x) - first) / ((last - first) or 1.0)
        up = (y - self.y_ticks[0]) / (self.y_ticks[-1] - self.y_ticks[0])
        return (
            LEFT + RADIUS + across * (self.width - LEFT - RIGHT - 2 * RADIUS),
            HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM),
        )

    def drawn(self, x_label: str, y_label: str) -> Iterator[str]:
        for tick in self.y_ticks:
            y = self.at(self.xs[0], tick)[1]
            yield f'<path class="grid" d="M{LEFT} {y:.1f}H{self.width - RIGHT}"/>'
            yield label_at(LEFT - 6, y + 4, number(tick), "end")
        for tick in self.x_ticks:
            yield label_at(self.at(tick, self.y_ticks[0])[0], HEIGHT - BOTTOM + 16, number(tick), "middle")
        yield label_at((LEFT + self.width - RIGHT) / 2, HEIGHT - 8, x_label, "middle")
        yield label_at(2, 12, y_label, "start")


def _drawn(one: Series, look: int, axes: _Axes) -> Iterator[str]:
    if one.bands:
        edges = [(x, band) for (x, _), band in zip(one.points, one.bands, strict=True)]
        there = [axes.at(x, high) for x, (_, high) in edges]
        back = [axes.at(x, low) for x, (low, _) in reversed(edges)]
        outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*there, *back))
        yield f'<polygon class="band series-{look}" points="{outline}"/>'
    places = [axes.at(*point) for point in one.finite()]
    if one.is_joined and len(places) > 1:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline class="curve series-{look}" points="{path}"/>'
    if not one.is_joined or len(places) <= 40:
        for (x, y), (given_x, given_y) in zip(places, one.finite(), strict=True):
            title = f"{text(one.name)}: {number(given_x)}, {number(given_y)}"
            yield (
                f'<circle class="point series-{look}" cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}">'
                f"<title>{title}</title></circle>"
            )
