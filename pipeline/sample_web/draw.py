"""One picture of the sample web: a scene in, pixels out, the same for ever.

The scene is what a caption can say (what, how many, where); everything else (position, turn, light, grain)
comes from its seed. Light is a smooth random field, strong enough that the perceptual hashes of two scenes
hardly ever come near each other and weak enough that a person does not mind.
"""

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pipeline.sample_web.pen import Pen, Rgb, mixed
from pipeline.sample_web.places import PLACES, varied
from pipeline.sample_web.things import THINGS

COLOURS: dict[str, Rgb] = {
    "red": (214, 36, 40),
    "orange": (246, 132, 24),
    "yellow": (250, 216, 44),
    "green": (40, 152, 68),
    "blue": (38, 92, 208),
    "purple": (132, 58, 172),
    "pink": (250, 150, 192),
    "brown": (116, 70, 36),
    "white": (246, 246, 243),
    "black": (30, 30, 34),
}
MAX_COUNT = 5
OVERSAMPLING = 2
WITHOUT_GROUND = ("brick wall", "cloudy sky", "lake", "night sky")  # where a shadow would fall on nothing
GRIDS = {1: ((1, 1),), 2: ((2, 1),), 3: ((3, 1), (2, 2)), 4: ((2, 2),), 5: ((3, 2),)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a picture shows: `count` things of one kind and colour at a place."""

    thing: str
    colour: str
    count: int
    place: str
    width_px: int
    height_px: int
    seed: int


def random_scene(rng: random.Random, *, thing: str, colour: str) -> Scene:
    """Return a scene of the given thing and colour; everything else is drawn from `rng`."""
    return Scene(
        thing=thing,
        colour=colour,
        count=rng.choices(range(1, MAX_COUNT + 1), weights=(60, 20, 10, 6, 4))[0],
        place=rng.choice(list(PLACES)),
        width_px=rng.choice((256, 288, 320, 320, 352, 400)),
        height_px=rng.choice((240, 240, 256, 272, 300)),
        seed=rng.getrandbits(48),
    )


def draw_picture(scene: Scene) -> Image.Image:
    """Return the scene as an RGB picture of its width and height; equal scenes give equal pixels."""
    rng = random.Random(scene.seed)
    width, height = scene.width_px * OVERSAMPLING, scene.height_px * OVERSAMPLING
    image = Image.new("RGB", (width, height))
    canvas = ImageDraw.Draw(image)
    PLACES[scene.place](canvas, width, height, rng)
    body = varied(COLOURS[scene.colour], rng, 9)
    for x, y, radius in spots(scene.count, width, height, rng):
        if scene.place not in WITHOUT_GROUND:
            draw_shadow(image, canvas, x, y + radius * 0.94, radius)
        angle, mirrored = rng.uniform(-14, 14), rng.random() < 0.5
        THINGS[scene.thing](
            Pen(draw=canvas, x_px=x, y_px=y, radius_px=radius, angle_deg=angle, mirrored=mirrored, body=body)
        )
    return lit(image.reduce(OVERSAMPLING), rng)


def draw_shadow(image: Image.Image, canvas: ImageDraw.ImageDraw, x: float, y: float, radius: float) -> None:
    """Darken an ellipse of the ground around (x, y), in the ground's own colour there."""
    ground = image.getpixel((min(round(x), image.width - 1), min(round(y), image.height - 1)))
    assert isinstance(ground, tuple), f"an RGB picture has three parts to a pixel, this has {ground!r}"
    shade = mixed((ground[0], ground[1], ground[2]), (20, 18, 30), 0.35)
    canvas.ellipse((x - radius * 0.8, y - radius * 0.12, x + radius * 0.8, y + radius * 0.12), fill=shade)


def spots(count: int, width: int, height: int, rng: random.Random) -> list[tuple[float, float, float]]:
    """Return centre and radius of each thing in pixels, in cells of a grid so that none hides another."""
    columns, rows = rng.choice(GRIDS[count])
    cell_w, cell_h = width / columns, height / rows
    cells = sorted(rng.sample([(column, row) for row in range(rows) for column in range(columns)], count))
    found = []
    for column, row in cells:
        radius = min(cell_w, cell_h) * (rng.uniform(0.26, 0.44) if count == 1 else rng.uniform(0.34, 0.45))
        play_x, play_y = cell_w / 2 - radius * 1.08, cell_h / 2 - radius * 1.1
        x = cell_w * (column + 0.5) + rng.uniform(-play_x, play_x)
        found.append((x, cell_h * (row + 0.5) + rng.uniform(-play_y, play_y), radius))
    return found


def lit(image: Image.Image, rng: random.Random) -> Image.Image:
    """Return the picture under uneven light and with the grain of a camera."""
    columns, rows = rng.choice(((4, 3), (5, 4), (6, 5)))
    strength = rng.uniform(0.07, 0.15)
    lamps = np.array(
        [[rng.gauss(1, strength) for _ in range(columns)] for _ in range(rows)], dtype=np.float32
    )
    light = np.asarray(Image.fromarray(lamps).resize(image.size, Image.Resampling.BICUBIC))
    x, y = rng.randrange(64), rng.randrange(64)
    noise = grain()[y : y + image.height, x : x + image.width] * np.float32(rng.uniform(3, 9))
    pixels = np.asarray(image, dtype=np.float32) * light[:, :, None] + noise
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def grain() -> npt.NDArray[np.float32]:
    """Return a tile of noise, (H, W, 3), unit variance, half of it grey, 64 px larger than any picture."""
    generator = np.random.default_rng(0)
    grey = generator.standard_normal((544, 544, 1), dtype=np.float32)
    colour = generator.standard_normal((544, 544, 3), dtype=np.float32)
    tile: npt.NDArray[np.float32] = (grey + colour) * np.float32(0.7)
    return tile
