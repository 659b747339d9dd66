"""Real photos, made worse in 14 ways: how far their hashes move, and how many originals come too near.

`make bench NAME=variants`; with a folder, the nearest pairs of different photos are drawn there as a sheet.
"""

import io
import json
import sys
import time
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from filters.colours import agree
from filters.near import near_pairs
from filters.reasons import Drop
from pipeline.config import Dedup
from pipeline.fetch.pixels import Fingerprint, fingerprint

PAIRS = Path("../shared/data/pairs")
PHOTOS = ("grocery", "openstax")
DRAWINGS = ("emoji", "openclipart")
DISTANCES = range(13)
SHEET_ROWS = 20


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """Return a picture as a JPEG file."""
    return saved(image, "JPEG", quality=quality)


def saved(image: Image.Image, kind: str, **options: int) -> bytes:
    """Return a picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def resized(image: Image.Image, by: float) -> Image.Image:
    """Return a picture with its sides so many times as long."""
    width, height = (max(1, round(side * by)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Cut a share of each side away, half of it at either end."""
    left, top = (round(side * share / 2) for side in image.size)
    return image.crop((left, top, image.width - left, image.height - top))


def brighter(image: Image.Image, by: float) -> Image.Image:
    """Return a picture with so many times its light."""
    return ImageEnhance.Brightness(image).enhance(by)


def watermarked(image: Image.Image) -> Image.Image:
    """Write half-transparent white letters a tenth of the picture high across its lower right."""
    layer = Image.new("RGBA", image.size)
    height = max(8, image.height // 10)
    draw = ImageDraw.Draw(layer)
    place = (image.width * 0.45, image.height - 1.5 * height)
    draw.text(place, "© example.com", fill=(255, 255, 255, 128), font_size=height)
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


VARIANTS: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG 30": lambda image: jpeg(image, 30),
    "JPEG 50": lambda image: jpeg(image, 50),
    "JPEG 70": lambda image: jpeg(image, 70),
    "JPEG 90": jpeg,
    "sides x 0.25": lambda image: jpeg(resized(image, 0.25)),
    "sides x 0.5": lambda image: jpeg(resized(image, 0.5)),
    "sides x 2": lambda image: jpeg(resized(image, 2)),
    "2 % cut off": lambda image: jpeg(cropped(image, 0.02)),
    "5 % cut off": lambda image: jpeg(cropped(image, 0.05)),
    "15 % darker": lambda image: jpeg(brighter(image, 0.85)),
    "15 % brighter": lambda image: jpeg(brighter(image, 1.15)),
    "watermark": lambda image: jpeg(watermarked(image)),
    "WebP 80": lambda image: saved(image, "WEBP", quality=80),
    "grey": lambda image: jpeg(image.convert("L")),
}


def pictures_of(names: tuple[str, ...]) -> list[tuple[Path, Fingerprint]]:
    """Return the pictures of some sets that can be read."""
    paths = (path for name in names for path in sorted((PAIRS / name / "images").rglob("*.*")))
    prints = ((path, fingerprint(path.read_bytes())) for path in paths)
    return [(path, made) for path, made in prints if not isinstance(made, Drop)]


def alike(one: Fingerprint, other: Fingerprint) -> bool:
    """Return whether the second opinion calls two pictures copies, should their hashes be near."""
    limit = Dedup().max_colour_difference
    return limit is None or bool(agree([one.colours], [other.colours], limit)[0])


def moved(photos: list[tuple[Path, Fingerprint]]) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each photo and variant, in how many bits it differs: int (N, V), and whether the second
    opinion calls it a copy: bool (N, V)."""
    bits, agreed = [], []
    for path, original in photos:
        with Image.open(path) as file:
            image = file.convert("RGB")
        found = [fingerprint(make(image)) for make in VARIANTS.values()]
        prints = [made for made in found if not isinstance(made, Drop)]
        assert len(prints) == len(VARIANTS), path
        bits.append([(made.phash ^ original.phash).bit_count() for made in prints])
        agreed.append([alike(made, original) for made in prints])
    return np.array(bits), np.array(agreed)


def recall(bits: np.ndarray, agreed: np.ndarray) -> list[float]:
    """Return the share of copies found within each distance."""
    return [float(np.mean((bits <= distance) & agreed)) for distance in DISTANCES]


def nearest(pictures: list[tuple[Path, Fingerprint]]) -> list[tuple[int, bool, Path, Path]]:
    """Return the pairs of different files within the largest distance, nearest first, each with what the
    second opinion says."""
    hashes = np.array([made.phash for _, made in pictures], dtype=np.uint64)
    pairs = []
    for a, b in _all_near(hashes):
        (path, one), (other_path, other) = pictures[a], pictures[b]
        if one.sha256 != other.sha256:
            distance = (one.phash ^ other.phash).bit_count()
            pairs.append((distance, alike(one, other), path, other_path))
    return sorted(pairs)


def _all_near(hashes: np.ndarray) -> list[tuple[int, int]]:
    """Return every (i, j), i < j; `near_pairs` links one of equal hashes alone to the others."""
    order = np.argsort(hashes, kind="stable")
    starts = [*np.flatnonzero(np.diff(hashes[order], prepend=~hashes[order[:1]])), len(order)]
    alike = {int(hashes[order[a]]): order[a:b].tolist() for a, b in pairwise(starts)}
    linked = {(int(hashes[i]), int(hashes[j])) for i, j in near_pairs(hashes, DISTANCES[-1])}
    linked |= {(value, value) for value in alike}
    found = {tuple(sorted((i, j))) for a, b in linked for i in alike[a] for j in alike[b] if i != j}
    return sorted((i, j) for i, j in found)


def sheet(pairs: list[tuple[int, bool, Path, Path]], path: Path) -> None:
    """Draw pairs side by side, their distance beside them; what the second opinion tells apart is marked."""
    side, columns = 96, 4
    rows = -(-len(pairs) // columns)
    drawn = Image.new("RGB", (columns * (2 * side + 60), max(1, rows) * (side + 4)), "white")
    for number, (distance, agreed, *both) in enumerate(pairs):
        left, top = number % columns * (2 * side + 60), number // columns * (side + 4)
        for place, file in enumerate(both):
            with Image.open(file) as image:
                small = image.convert("RGBA")
            small.thumbnail((side, side))
            drawn.paste(small, (left + place * side, top), small)
        told = f"{distance}" if agreed else f"{distance} apart"
        ImageDraw.Draw(drawn).text((left + 2 * side + 4, top), told, "red")
    drawn.save(path)


def print_table(title: str, rows: dict[str, list[str]]) -> None:
    """Print one row for each name, one column for each distance."""
    print(f"| {title} | " + " | ".join(map(str, DISTANCES)) + " |")
    print("|---" * (len(DISTANCES) + 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def counts(pairs: list[tuple[int, bool, Path, Path]], opinion: bool) -> list[str]:
    """Return how many pairs lie within each distance."""
    left = [distance for distance, agreed, *_ in pairs if agreed or not opinion]
    return [str(sum(distance <= limit for distance in left)) for limit in DISTANCES]


def main() -> None:
    """Print the tables, then one JSON line."""
    warnings.simplefilter("ignore")
    started = time.process_time()
    photos = pictures_of(PHOTOS)
    bits, agreed = moved(photos)
    everyone = np.ones_like(agreed)
    shares = {name: recall(bits[:, v], everyone[:, v]) for v, name in enumerate(VARIANTS)}
    both = {name: recall(bits[:, v], agreed[:, v]) for v, name in enumerate(VARIANTS)}
    for title, table in (("hash alone, %", shares), ("hash and second opinion, %", both)):
        table["all"] = [float(np.mean(column)) for column in zip(*table.values(), strict=True)]
        print_table(title, {name: [f"{100 * x:.1f}" for x in row] for name, row in table.items()})
    near = {name: nearest(pictures_of((name,))) for name in (*PHOTOS, *DRAWINGS)}
    print_table("pairs of files", {name: counts(pairs, False) for name, pairs in near.items()})
    print_table("second opinion", {name: counts(pairs, True) for name, pairs in near.items()})
    default = Dedup().max_distance
    assert default is not None
    for folder in sys.argv[1:]:
        for name, pairs in near.items():
            within = [pair for pair in pairs if pair[0] <= default]
            sheet(within[: 4 * SHEET_ROWS], Path(folder) / f"{name}.png")
    told = {"num_photos": len(photos), "max_distance": default, "recall": round(shares["all"][default], 4)}
    told["recall_with_opinion"] = round(both["all"][default], 4)
    told["cpu_s"] = round(time.process_time() - started, 1)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
