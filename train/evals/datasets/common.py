"""What the readers share: pictures from files and from pixels, lists, and choices where there is no split."""

import hashlib
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from train.evals.datasets.published import Sample

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".ppm")


def read_listed(entries: Iterable[tuple[Path, int]]) -> Iterator[Sample]:
    """Yield the pictures of a list of paths and labels."""
    for path, label in entries:
        yield str(path), path.read_bytes(), label


def folders_of(root: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted."""
    return sorted(path.name for path in root.iterdir() if path.is_dir())


def pictures_in(folder: Path) -> list[Path]:
    """Return the pictures right in a folder, sorted by name."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def lines(path: Path) -> list[str]:
    """Return the lines of a list that are not empty. Raises ValueError where there is no list."""
    if not path.exists():
        raise ValueError(f"{path} is missing. Next: unpack the dataset's lists beside its pictures")
    text = path.read_text(encoding="utf-8-sig")
    return [line.strip() for line in text.splitlines() if line.strip()]


def spaced(name: str) -> str:
    """Return a folder's name as words.

    >>> spaced("apple_pie")
    'apple pie'
    """
    return name.replace("_", " ")


def chosen(names: Iterable[str], num: int) -> list[str]:
    """Return the `num` names whose hashes are lowest: the same everywhere, and like a draw."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:num]


def chosen_pictures(pictures: Iterable[Path], num: int) -> list[Path]:
    """Return `num` of a folder's pictures, by what the folder and they are called, wherever they lie."""
    by_name = {f"{path.parent.name}/{path.name}": path for path in pictures}
    return [by_name[name] for name in chosen(by_name, num)]


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """Return pixels (H, W) or (H, W, 3) as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
