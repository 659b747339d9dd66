import math
import re

import pytest

from manifests.report.curves import Series, curves

LINE = Series(name="probe", points=[(0, 0.2), (1, 0.4), (4, 0.8)])


def places(page: str, shape: str) -> list[tuple[float, float]]:
    attributes = re.findall(rf"<{shape} [^>]*?points=\"([^\"]*)\"", page)
    return [tuple(map(float, pair.split(","))) for pair in " ".join(attributes).split()]  # type: ignore[misc]


def test_points_stand_where_their_values_are() -> None:
    (x0, y0), (x1, y1), (x2, y2) = places(
        curves(title="T", series=[LINE], x_label="shots", y_label="accuracy"), "polyline"
    )
    assert (x1 - x0) / (x2 - x0) == pytest.approx(1 / 4, abs=0.01)
    assert (y0 - y1) / (y0 - y2) == pytest.approx(1 / 3, abs=0.01)


def test_shots_from_none_on_stand_at_logarithms() -> None:
    page = curves(title="T", series=[LINE], x_label="shots", y_label="accuracy", log_x=True)
    (x0, _), (x1, _), (x2, _) = places(page, "polyline")
    assert (x1 - x0) / (x2 - x0) == pytest.approx(math.log(2) / math.log(5), abs=0.01)


def test_a_band_lies_around_its_line() -> None:
    banded = Series(name="seeds", points=LINE.points, bands=[(y - 0.1, y + 0.1) for _, y in LINE.points])
    page = curves(title="T", series=[banded], x_label="x", y_label="y")
    outline, line = places(page, "polygon"), places(page, "polyline")
    assert len(outline) == 2 * len(line)
    for (x, y), (_, high), (_, low) in zip(line, outline, reversed(outline), strict=False):
        assert high < y < low, x


def test_every_series_is_named_and_its_names_are_escaped() -> None:
    cloud = Series(name="<b>others", points=[(1, 1), (2, math.nan)], is_joined=False)
    page = curves(title="T", series=[LINE, cloud], x_label="x", y_label="y")
    assert "&lt;b&gt;others" in page
    assert "<b>others" not in page
    assert page.count("<circle") == 3 + 1


def test_nothing_to_draw_is_nothing() -> None:
    lost = Series(name="lost", points=[(1, math.nan)])
    assert curves(title="T", series=[lost], x_label="x", y_label="y") == ""


def test_one_point_is_drawn() -> None:
    one = Series(name="one", points=[(3, 0.5)])
    page = curves(title="T", series=[one], x_label="x", y_label="y")
    assert "nan" not in page
    assert page.count("<circle") == 1
