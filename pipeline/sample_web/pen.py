"""Drawing in a thing's own coordinates, turned and scaled as asked: x to the right, y down, from -1 to 1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

Rgb = tuple[int, int, int]
Point = tuple[float, float]


def mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """Return the colour `share` of the way from `colour` to `other`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def arc(
    x: float,
    y: float,
    radius_x: float,
    radius_y: float,
    start_deg: float,
    end_deg: float,
    num_points: int = 18,
) -> list[Point]:
    """Return points of an elliptic arc; 0 degrees is to the right, 90 is down."""
    angles = [
        math.radians(start_deg + (end_deg - start_deg) * i / (num_points - 1)) for i in range(num_points)
    ]
    return [(x + radius_x * math.cos(angle), y + radius_y * math.sin(angle)) for angle in angles]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """Draws one thing: where it stands on the canvas, how it is turned, and the shades of its colour."""

    draw: ImageDraw.ImageDraw
    x_px: float
    y_px: float
    radius_px: float
    angle_deg: float
    mirrored: bool
    body: Rgb

    @property
    def dark(self) -> Rgb:
        return mixed(self.body, (0, 0, 0), 0.3)

    @property
    def light(self) -> Rgb:
        return mixed(self.body, (255, 255, 255), 0.35)

    @property
    def ink(self) -> Rgb:
        """The outline: dark, but light around black things, which night would swallow otherwise."""
        return (165, 165, 170) if sum(self.body) < 150 else mixed(self.body, (10, 10, 14), 0.78)

    @property
    def line_px(self) -> int:
        return max(2, round(self.radius_px * 0.035))

    def place(self, points: Sequence[Point]) -> list[Point]:
        """Return the points in canvas pixels."""
        sine, cosine = math.sin(math.radians(self.angle_deg)), math.cos(math.radians(self.angle_deg))
        side = -self.radius_px if self.mirrored else self.radius_px
        turned = [(x * cosine - y * sine, x * sine + y * cosine) for x, y in points]
        return [(self.x_px + x * side, self.y_px + y * self.radius_px) for x, y in turned]

    def shape(self, points: Sequence[Point], fill: Rgb) -> None:
        """Fill a polygon and draw its outline."""
        self.draw.polygon(self.place(points), fill=fill, outline=self.ink, width=self.line_px)

    def patch(self, points: Sequence[Point], fill: Rgb) -> None:
        """Fill a polygon without an outline."""
        self.draw.polygon(self.place(points), fill=fill)

    def oval(
        self, x: float, y: float, radius_x: float, radius_y: float, fill: Rgb, *, tilt_deg: float = 0
    ) -> None:
        """Fill an ellipse with an outline, tilted about its centre."""
        sine, cosine = math.sin(math.radians(tilt_deg)), math.cos(math.radians(tilt_deg))
        flat = arc(0, 0, radius_x, radius_y, 0, 350, 30)
        self.shape([(x + a * cosine - b * sine, y + a * sine + b * cosine) for a, b in flat], fill)

    def dot(self, x: float, y: float, radius: float, fill: Rgb) -> None:
        """Fill a circle without an outline."""
        self.patch(arc(x, y, radius, radius, 0, 345, 20), fill)

    def stroke(self, points: Sequence[Point], width: float, fill: Rgb) -> None:
        """Draw an open line; `width` is in the thing's own units."""
        width_px = max(2, round(width * self.radius_px))
        self.draw.line(self.place(points), fill=fill, width=width_px, joint="curve")
