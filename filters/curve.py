"""A curve as a PNG picture: shares over the values of a limit."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 900, 520, 70, 70, 30, 90
_COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189))
_GREY, _INK = (225, 225, 225), (40, 40, 40)


def draw_curve(path: Path, title: str, limits: list[str], lines: dict[str, list[float]]) -> None:
    """Write a picture of named lines: a share of 0 to 1 for each limit. At most four lines."""
    picture = Image.new("RGB", (_WIDTH, _HEIGHT), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(15)
    draw.text((_LEFT, 14), title, _INK, ImageFont.load_default(18))
    for step in range(0, 101, 10):
        y = _y(step / 100)
        draw.line((_LEFT, y, _WIDTH - _RIGHT, y), _GREY)
        draw.text((_LEFT - 8, y), f"{step} %", _INK, font, anchor="rm")
    every = -(-len(limits) // 24)  # so that no two labels meet
    for place, limit in enumerate(limits):
        if place % every == 0:
            draw.text((_x(place, len(limits)), _HEIGHT - _BOTTOM + 10), limit, _INK, font, anchor="ma")
    for number, (name, shares) in enumerate(lines.items()):
        colour = _COLOURS[number]
        points = [(_x(place, len(limits)), _y(share)) for place, share in enumerate(shares)]
        draw.line(points, colour, width=3, joint="curve")
        for x, y in points:
            draw.ellipse((x - 4, y - 4, x + 4, y + 4), colour)
        left, top = _LEFT + 400 * number, _HEIGHT - 28
        draw.line((left, top, left + 24, top), colour, width=3)
        draw.text((left + 34, top), name, colour, font, anchor="lm")
    picture.save(path, "PNG")


def _x(place: int, num: int) -> float:
    return _LEFT + 20 + (_WIDTH - _LEFT - _RIGHT - 40) * place / max(1, num - 1)


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)
