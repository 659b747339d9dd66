"""The kinds of things in the sample web's pictures: one function each, drawn inside a `Pen`'s unit square."""

import math
from collections.abc import Callable

from pipeline.sample_web.pen import Pen, arc, mixed

PAPER = (250, 248, 240)
DARK = (52, 50, 56)
GLASS = (176, 214, 232)
WOOD = (112, 78, 48)


def draw_umbrella(pen: Pen) -> None:
    """An open umbrella with a hooked handle."""
    pen.stroke([(0, -0.9), (0, 0.7), *arc(-0.17, 0.7, 0.17, 0.2, 0, 180)], 0.09, DARK)
    scallops = [point for x in (0.72, 0.24, -0.24, -0.72) for point in arc(x, 0.02, 0.24, 0.16, 0, -180, 8)]
    pen.shape([*arc(0, 0.02, 0.96, 0.85, 180, 360), *scallops], pen.body)
    for x in (-0.48, 0.0, 0.48):
        pen.stroke([(0, -0.82), (x * 0.75, -0.4), (x, 0.0)], 0.035, pen.ink)


def draw_house(pen: Pen) -> None:
    """A house with a door, two windows and a chimney."""
    pen.shape([(0.4, -0.9), (0.62, -0.9), (0.62, -0.2), (0.4, -0.2)], pen.dark)
    pen.shape([(-0.75, -0.2), (0.75, -0.2), (0.75, 0.95), (-0.75, 0.95)], pen.body)
    pen.shape([(-0.98, -0.15), (0, -0.95), (0.98, -0.15)], pen.dark)
    pen.shape([(-0.17, 0.35), (0.17, 0.35), (0.17, 0.95), (-0.17, 0.95)], WOOD)
    for x in (-0.48, 0.48):
        pen.shape([(x - 0.17, 0.08), (x + 0.17, 0.08), (x + 0.17, 0.42), (x - 0.17, 0.42)], GLASS)
        pen.stroke([(x, 0.08), (x, 0.42)], 0.03, pen.ink)


def draw_tree(pen: Pen) -> None:
    """A tree with a round crown."""
    pen.shape([(-0.13, 0.1), (0.13, 0.1), (0.2, 0.97), (-0.2, 0.97)], WOOD)
    for x, y, radius in ((-0.42, -0.05, 0.46), (0.42, -0.05, 0.46), (0, -0.45, 0.52)):
        pen.oval(x, y, radius, radius, pen.body)
    pen.dot(0, -0.15, 0.42, pen.body)
    for x, y in ((-0.45, -0.2), (0.1, -0.6), (0.4, 0.0)):
        pen.stroke(arc(x, y, 0.15, 0.12, 200, 330, 7), 0.05, pen.dark)


def draw_car(pen: Pen) -> None:
    """A car seen from its side."""
    pen.shape([(-0.55, -0.05), (-0.35, -0.5), (0.3, -0.5), (0.58, -0.05)], pen.body)
    pen.shape([(-0.42, -0.06), (-0.28, -0.4), (-0.04, -0.4), (-0.04, -0.06)], GLASS)
    pen.shape([(0.05, -0.06), (0.05, -0.4), (0.25, -0.4), (0.44, -0.06)], GLASS)
    pen.shape(
        [(-0.97, 0.0), (-0.6, -0.07), (0.6, -0.07), (0.95, 0.08), (0.97, 0.42), (-0.97, 0.42)], pen.body
    )
    pen.patch([(0.84, 0.08), (0.94, 0.12), (0.94, 0.24), (0.84, 0.22)], (255, 240, 170))
    for x in (-0.55, 0.55):
        pen.oval(x, 0.42, 0.25, 0.25, DARK)
        pen.dot(x, 0.42, 0.11, (190, 190, 195))


def draw_fish(pen: Pen) -> None:
    """A fish that swims to the right."""
    pen.shape([(-0.45, 0), (-0.97, -0.5), (-0.82, 0), (-0.97, 0.5)], pen.dark)
    pen.shape([(-0.25, -0.35), (0.1, -0.75), (0.3, -0.35)], pen.dark)
    pen.oval(0.18, 0, 0.76, 0.46, pen.body)
    pen.stroke(arc(0.38, 0, 0.16, 0.36, 110, 250, 9), 0.05, pen.ink)
    for x in (-0.25, 0.0):
        pen.stroke(arc(x, 0, 0.1, 0.25, 110, 250, 9), 0.05, pen.dark)
    pen.dot(0.62, -0.12, 0.11, PAPER)
    pen.dot(0.64, -0.12, 0.055, (15, 15, 20))


def draw_cup(pen: Pen) -> None:
    """A cup on a saucer, with steam."""
    pen.oval(-0.05, 0.82, 0.85, 0.14, pen.light)
    pen.stroke(arc(0.55, 0.1, 0.32, 0.3, -100, 110), 0.2, pen.ink)
    pen.stroke(arc(0.55, 0.1, 0.32, 0.3, -100, 110), 0.12, pen.body)
    pen.shape([(-0.68, -0.3), (0.6, -0.3), (0.5, 0.5), (0.3, 0.78), (-0.38, 0.78), (-0.58, 0.5)], pen.body)
    pen.oval(-0.04, -0.3, 0.64, 0.15, (92, 58, 36))
    for x in (-0.3, 0.0, 0.3):
        pen.stroke(
            [(x + 0.08 * math.sin(step), -0.5 - step * 0.08) for step in range(6)], 0.06, (236, 236, 236)
        )


def draw_chair(pen: Pen) -> None:
    """A chair with four legs and a back of three bars."""
    for x, y in ((-0.5, 0.62), (0.25, 0.62)):
        pen.shape([(x, 0.1), (x + 0.12, 0.1), (x + 0.12, y), (x, y)], pen.dark)
    pen.shape([(-0.62, -0.95), (-0.48, -0.95), (-0.48, 0.15), (-0.62, 0.15)], pen.body)
    pen.shape([(0.28, -0.95), (0.42, -0.95), (0.42, 0.15), (0.28, 0.15)], pen.body)
    for y in (-0.9, -0.58, -0.26):
        pen.shape([(-0.62, y), (0.42, y), (0.42, y + 0.19), (-0.62, y + 0.19)], pen.body)
    pen.shape([(-0.62, 0.05), (0.42, 0.05), (0.75, 0.34), (-0.42, 0.34)], pen.light)
    pen.shape([(-0.42, 0.34), (0.75, 0.34), (0.75, 0.46), (-0.42, 0.46)], pen.body)
    for x in (-0.42, 0.62):
        pen.shape([(x, 0.46), (x + 0.13, 0.46), (x + 0.13, 0.97), (x, 0.97)], pen.body)


def draw_star(pen: Pen) -> None:
    """A five-pointed star."""
    corners = [
        (radius * math.sin(math.pi * i / 5), -radius * math.cos(math.pi * i / 5))
        for i, radius in enumerate([0.98, 0.42] * 5)
    ]
    pen.shape(corners, pen.body)
    for i in range(0, 10, 2):
        pen.patch([(0, 0), corners[i], corners[i + 1]], pen.light)


def draw_key(pen: Pen) -> None:
    """A key with a round bow and three teeth."""
    teeth = [(0.97, 0.1), (0.97, 0.42), (0.82, 0.42), (0.82, 0.2), (0.68, 0.2), (0.68, 0.42), (0.53, 0.42)]
    pen.shape(
        [(-0.3, -0.1), (0.97, -0.1), *teeth, (0.53, 0.2), (0.4, 0.2), (0.4, 0.1), (-0.3, 0.1)], pen.body
    )
    pen.stroke(arc(-0.55, 0, 0.31, 0.31, 0, 372, 40), 0.3, pen.ink)
    pen.stroke(arc(-0.55, 0, 0.31, 0.31, 0, 372, 40), 0.22, pen.body)


def draw_balloon(pen: Pen) -> None:
    """A balloon on a wavy string."""
    pen.stroke(
        [(0.07 * math.sin(step * 1.1), 0.42 + step * 0.06) for step in range(10)], 0.05, (235, 235, 230)
    )
    pen.shape([(0, 0.3), (0.14, 0.47), (-0.14, 0.47)], pen.dark)
    pen.oval(0, -0.3, 0.58, 0.67, pen.body)
    pen.stroke(arc(-0.05, -0.35, 0.36, 0.42, 180, 250, 8), 0.1, pen.light)


def draw_mushroom(pen: Pen) -> None:
    """A mushroom whose cap has light spots."""
    pen.shape([(-0.22, 0.05), (0.22, 0.05), (0.34, 0.85), (0.2, 0.95), (-0.2, 0.95), (-0.34, 0.85)], PAPER)
    pen.shape([*arc(0, 0.08, 0.95, 0.95, 180, 360), (0.8, 0.22), (-0.8, 0.22)], pen.body)
    spot = mixed(pen.body, (20, 20, 20), 0.55) if min(pen.body) > 200 else PAPER
    for x, y, radius in ((-0.5, -0.2, 0.13), (0.0, -0.52, 0.16), (0.48, -0.22, 0.14), (0.05, -0.05, 0.1)):
        pen.dot(x, y, radius, spot)


def draw_butterfly(pen: Pen) -> None:
    """A butterfly with open wings."""
    for side in (-1, 1):
        pen.oval(side * 0.5, -0.34, 0.5, 0.36, pen.body, tilt_deg=-32 * side)
        pen.oval(side * 0.4, 0.4, 0.37, 0.3, pen.body, tilt_deg=38 * side)
        pen.dot(side * 0.58, -0.4, 0.16, pen.light)
        pen.dot(side * 0.43, 0.42, 0.11, pen.dark)
        pen.stroke([(side * 0.03, -0.5), (side * 0.12, -0.75), (side * 0.25, -0.9)], 0.04, DARK)
    pen.oval(0, 0, 0.08, 0.58, DARK)


THINGS: dict[str, Callable[[Pen], None]] = {
    "umbrella": draw_umbrella,
    "house": draw_house,
    "tree": draw_tree,
    "car": draw_car,
    "fish": draw_fish,
    "cup": draw_cup,
    "chair": draw_chair,
    "star": draw_star,
    "key": draw_key,
    "balloon": draw_balloon,
    "mushroom": draw_mushroom,
    "butterfly": draw_butterfly,
}
