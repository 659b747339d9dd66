"""The places behind the things: one function each, which fills a canvas and never looks the same twice."""

import math
import random
from collections.abc import Callable

from PIL import ImageDraw

from pipeline.sample_web.pen import Rgb, mixed

WHITE = (255, 255, 255)
Canvas = ImageDraw.ImageDraw


def varied(colour: Rgb, rng: random.Random, amount: int = 12) -> Rgb:
    """Return a colour near `colour`."""
    red, green, blue = (min(255, max(0, part + rng.randint(-amount, amount))) for part in colour)
    return red, green, blue


def fill_gradient(canvas: Canvas, width: int, top: float, bottom: float, upper: Rgb, lower: Rgb) -> None:
    """Fill the band between two heights with bands of colour from `upper` to `lower`."""
    num_bands = 24
    step = (bottom - top) / num_bands
    for i in range(num_bands):
        y = top + i * step
        canvas.rectangle((0, y, width, y + step + 1), fill=mixed(upper, lower, i / (num_bands - 1)))


def draw_hills(
    canvas: Canvas, width: int, height: int, top: float, rng: random.Random, colour: Rgb, roughness: float
) -> None:
    """Fill everything below a wavy line around height `top`."""
    waves = [(rng.uniform(0.6, 3.5), rng.uniform(0, 6.3), rng.uniform(0.3, 1)) for _ in range(3)]
    line = [
        (x, top + height * roughness * sum(a * math.sin(f * 6.3 * x / width + p) for f, p, a in waves))
        for x in range(0, width + 17, 16)
    ]
    canvas.polygon([(0, height), *line, (width + 16, height)], fill=colour)


def draw_cloud(canvas: Canvas, x: float, y: float, size: float, rng: random.Random, colour: Rgb) -> None:
    """Draw a cloud of a few puffs."""
    for _ in range(5):
        radius = size * rng.uniform(0.3, 0.6)
        left, top = x + rng.uniform(-size, size) - radius, y + rng.uniform(-0.25, 0.25) * size - radius * 0.6
        canvas.ellipse((left, top, left + 2 * radius, top + 1.2 * radius), fill=colour)


def draw_wooden_table(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Planks with grain, along either side."""
    base = varied((176, 126, 78), rng, 12)
    across = rng.random() < 0.5
    length, depth = (width, height) if across else (height, width)
    start = -rng.uniform(0, depth / 5)
    while start < depth:
        end = start + depth * rng.uniform(0.14, 0.3)
        colour = varied(base, rng, 16)
        canvas.rectangle((0, start, length, end) if across else (start, 0, end, length), fill=colour)
        for _ in range(5):
            along, wave = rng.uniform(start, end), rng.uniform(-4, 4)
            line = [(0.0, along), (length / 2, along + wave), (float(length), along)]
            canvas.line(
                line if across else [(y, x) for x, y in line], fill=mixed(colour, (60, 30, 10), 0.3), width=2
            )
        edge = [(0.0, end), (float(length), end)]
        canvas.line(edge if across else [(y, x) for x, y in edge], fill=(74, 48, 28), width=4)
        start = end


def draw_beach(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Sky, sea with surf, sand."""
    horizon, shore = height * rng.uniform(0.15, 0.4), height * rng.uniform(0.5, 0.72)
    fill_gradient(canvas, width, 0, horizon, varied((120, 180, 228), rng), varied((205, 226, 236), rng))
    fill_gradient(canvas, width, horizon, shore, varied((40, 120, 160), rng), varied((92, 182, 186), rng))
    draw_hills(canvas, width, height, shore - height * 0.02, rng, (240, 246, 244), 0.012)
    draw_hills(canvas, width, height, shore, rng, varied((226, 200, 150), rng), 0.016)
    for _ in range(60):
        x, y = rng.uniform(0, width), rng.uniform(shore + height * 0.05, height)
        canvas.ellipse((x, y, x + rng.uniform(2, 6), y + 3), fill=varied((190, 160, 112), rng, 25))


def draw_meadow(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Sky, hills, grass."""
    horizon = height * rng.uniform(0.2, 0.5)
    fill_gradient(canvas, width, 0, horizon + height * 0.1, varied((140, 192, 232), rng), (222, 234, 240))
    draw_hills(canvas, width, height, horizon, rng, varied((120, 160, 110), rng), 0.03)
    ground = varied((134, 172, 82), rng, 18)
    draw_hills(canvas, width, height, horizon + height * 0.12, rng, ground, 0.02)
    for _ in range(150):
        x, y = rng.uniform(0, width), rng.uniform(horizon + height * 0.16, height)
        tall = height * rng.uniform(0.01, 0.04)
        canvas.line(
            (x, y, x + rng.uniform(-5, 5), y - tall),
            fill=varied(mixed(ground, (30, 80, 20), 0.4), rng),
            width=2,
        )


def draw_snow(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """A pale sky, drifts, flakes."""
    horizon = height * rng.uniform(0.25, 0.55)
    fill_gradient(canvas, width, 0, horizon + height * 0.1, varied((150, 166, 190), rng, 20), (206, 214, 224))
    draw_hills(canvas, width, height, horizon, rng, varied((196, 206, 220), rng, 8), 0.04)
    draw_hills(canvas, width, height, horizon + height * 0.15, rng, varied((228, 233, 240), rng, 6), 0.03)
    for _ in range(70):
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(2, 7)
        canvas.ellipse((x, y, x + size, y + size), fill=WHITE)


def draw_night_sky(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Stars, sometimes a moon, a dark ridge."""
    fill_gradient(canvas, width, 0, height, varied((14, 18, 48), rng, 8), varied((58, 56, 104), rng, 18))
    for _ in range(90):
        x, y, size = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(1, 4)
        canvas.ellipse((x, y, x + size, y + size), fill=varied((226, 226, 200), rng, 28))
    if rng.random() < 0.7:
        x, y, size = rng.uniform(0, width), rng.uniform(0, height * 0.5), height * rng.uniform(0.08, 0.2)
        canvas.ellipse((x, y, x + size, y + size), fill=(238, 234, 208))
    draw_hills(canvas, width, height, height * rng.uniform(0.78, 0.95), rng, (18, 20, 32), 0.03)


def draw_brick_wall(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Rows of bricks, a pavement below."""
    base = varied((160, 96, 78), rng, 22)
    canvas.rectangle((0, 0, width, height), fill=varied((190, 182, 172), rng))
    brick_h = height * rng.uniform(0.055, 0.09)
    brick_w = brick_h * rng.uniform(2, 2.6)
    for row in range(int(height / brick_h) + 1):
        x = -brick_w * (0.5 if row % 2 else rng.uniform(0, 0.1))
        while x < width:
            canvas.rectangle(
                (x + 2, row * brick_h + 2, x + brick_w - 3, (row + 1) * brick_h - 3),
                fill=varied(base, rng, 16),
            )
            x += brick_w
    if rng.random() < 0.6:
        canvas.rectangle(
            (0, height * rng.uniform(0.75, 0.9), width, height), fill=varied((128, 126, 124), rng)
        )


def draw_cloudy_sky(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """A day sky with clouds."""
    fill_gradient(canvas, width, 0, height, varied((92, 152, 216), rng, 18), varied((196, 220, 238), rng))
    for _ in range(rng.randint(3, 7)):
        size = width * rng.uniform(0.1, 0.22)
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        draw_cloud(canvas, x, y + size * 0.12, size, rng, (206, 214, 224))
        draw_cloud(canvas, x, y, size, rng, (244, 246, 248))


def draw_city_street(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """A row of buildings with windows, a road with a dashed line."""
    road = height * rng.uniform(0.58, 0.74)
    fill_gradient(canvas, width, 0, road, varied((176, 198, 214), rng, 18), (224, 226, 224))
    x = -rng.uniform(0, width * 0.1)
    while x < width:
        wide, top = width * rng.uniform(0.12, 0.26), height * rng.uniform(0.02, 0.36)
        wall = varied(rng.choice([(172, 160, 148), (150, 156, 166), (190, 172, 150), (134, 128, 132)]), rng)
        canvas.rectangle((x, top, x + wide, road), fill=wall)
        pane = wide / 7
        for column in range(3):
            y = top + pane
            while y < road - pane * 2:
                left = x + pane * (1 + 2 * column)
                canvas.rectangle((left, y, left + pane, y + pane * 1.3), fill=varied((98, 112, 130), rng, 20))
                y += pane * 2.4
        x += wide + 3
    canvas.rectangle((0, road, width, height), fill=varied((112, 112, 116), rng))
    canvas.rectangle((0, road, width, road + height * 0.04), fill=(178, 176, 170))
    line_y = (road + height) / 2
    for start in range(-rng.randint(0, 60), width, 110):
        canvas.rectangle((start, line_y, start + 60, line_y + 8), fill=(232, 230, 220))


def draw_kitchen_floor(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Square tiles in two tones, slightly turned."""
    tones = [
        varied((226, 222, 210), rng),
        varied(rng.choice([(120, 150, 160), (150, 130, 120), (128, 146, 126)]), rng),
    ]
    canvas.rectangle((0, 0, width, height), fill=tones[0])
    size, slant = width * rng.uniform(0.1, 0.19), rng.uniform(-0.35, 0.35)
    offset_x, offset_y = rng.uniform(0, size), rng.uniform(0, size)
    for row in range(-6, int(height / size) + 7):
        for column in range(-6, int(width / size) + 7):
            if (row + column) % 2:
                corners = [(column, row), (column + 1, row), (column + 1, row + 1), (column, row + 1)]
                canvas.polygon(
                    [
                        (offset_x + (a - b * slant) * size, offset_y + (b + a * slant) * size)
                        for a, b in corners
                    ],
                    fill=varied(tones[1], rng, 6),
                )


def draw_lake(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Mountains over still water with ripples."""
    shore = height * rng.uniform(0.38, 0.6)
    fill_gradient(canvas, width, 0, shore, varied((160, 190, 220), rng), varied((226, 226, 222), rng))
    for tone in ((138, 150, 170), (104, 124, 128)):
        peak, top = rng.uniform(0.1, 0.9) * width, height * rng.uniform(0.08, 0.3)
        spread = width * rng.uniform(0.4, 0.8)
        canvas.polygon([(peak - spread, shore), (peak, top), (peak + spread, shore)], fill=varied(tone, rng))
    fill_gradient(canvas, width, shore, height, varied((120, 160, 180), rng), varied((56, 104, 128), rng))
    for _ in range(30):
        x, y = rng.uniform(0, width), rng.uniform(shore, height)
        canvas.line(
            (x, y, x + width * rng.uniform(0.04, 0.16), y), fill=varied((168, 200, 212), rng), width=3
        )


def draw_desert(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Dunes under a hot sky, sometimes a sun."""
    fill_gradient(
        canvas, width, 0, height * 0.7, varied((150, 196, 220), rng, 20), varied((246, 222, 180), rng)
    )
    if rng.random() < 0.6:
        x, y, size = rng.uniform(0, width), rng.uniform(0, height * 0.25), height * rng.uniform(0.1, 0.2)
        canvas.ellipse((x, y, x + size, y + size), fill=(255, 244, 206))
    top = height * rng.uniform(0.3, 0.5)
    for i, tone in enumerate([(222, 176, 116), (206, 156, 96), (190, 138, 82)]):
        draw_hills(
            canvas, width, height, top + height * i * rng.uniform(0.12, 0.18), rng, varied(tone, rng), 0.04
        )


def draw_striped_carpet(canvas: Canvas, width: int, height: int, rng: random.Random) -> None:
    """Slanted stripes in quiet colours."""
    tones = [
        varied(tone, rng, 20) for tone in ((186, 172, 160), (120, 128, 150), (164, 120, 116), (208, 202, 186))
    ]
    canvas.rectangle((0, 0, width, height), fill=tones[0])
    slant, x = rng.uniform(-0.6, 0.6) * height, -height
    i = 0
    while x < width + height:
        wide = width * rng.uniform(0.03, 0.12)
        canvas.polygon(
            [(x, 0), (x + wide, 0), (x + wide + slant, height), (x + slant, height)], fill=tones[i % 4]
        )
        x, i = x + round(wide), i + 1


PLACES: dict[str, Callable[[Canvas, int, int, random.Random], None]] = {
    "wooden table": draw_wooden_table,
    "beach": draw_beach,
    "meadow": draw_meadow,
    "snow": draw_snow,
    "night sky": draw_night_sky,
    "brick wall": draw_brick_wall,
    "cloudy sky": draw_cloudy_sky,
    "city street": draw_city_street,
    "kitchen floor": draw_kitchen_floor,
    "lake": draw_lake,
    "desert": draw_desert,
    "striped carpet": draw_striped_carpet,
}
