"""Copies of a picture as the web makes them, each proved to be one: its hash stays within 2 bits."""

import io
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageOps

from filters.hashes import hamming, phash

MIN_DISTANCE = 9  # bits between any two pictures that are not copies of each other
MAX_COPY_DISTANCE = 2  # so that two copies of one picture are at most 4 apart
ORIENTATION_TAG, TURNED_LEFT = 0x0112, 6


class PictureHashes:
    """Hashes of all pictures so far, to tell whether a further one can be taken for any of them."""

    def __init__(self) -> None:
        self._hashes = np.empty(1024, dtype=np.uint64)
        self._num_hashes = 0

    def add(self, value: int) -> bool:
        """Add a hash and return True, unless it is nearer than MIN_DISTANCE to one of the others."""
        others = self._hashes[: self._num_hashes]
        if len(others) and int(np.bitwise_count(others ^ np.uint64(value)).min()) < MIN_DISTANCE:
            return False
        if self._num_hashes == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[self._num_hashes] = value
        self._num_hashes += 1
        return True

    def values(self) -> list[int]:
        """Return the hashes in the order in which they were added."""
        return [int(value) for value in self._hashes[: self._num_hashes]]


def decoded(data: bytes) -> Image.Image:
    """Return the upright RGB picture of encoded bytes."""
    with Image.open(io.BytesIO(data)) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def encoded(
    image: Image.Image, kind: str = "JPEG", *, quality: int = 86, exif: Image.Exif | None = None
) -> bytes:
    """Return the picture as a JPEG, PNG or WebP file."""
    buffer = io.BytesIO()
    if kind == "JPEG":
        image.save(buffer, kind, quality=quality, **({} if exif is None else {"exif": exif}))
    else:
        image.save(
            buffer, kind, **({"lossless": True, "method": 0} if kind == "WEBP" else {"compress_level": 3})
        )
    return buffer.getvalue()


def recompressed(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture as a smaller JPEG, gentler each time."""
    yield from (encoded(image, quality=quality) for quality in (40, 55, 70, 80, 90))


def resized(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture scaled down, gentler each time."""
    for scale in (0.7, 0.8, 0.9, 0.95):
        yield encoded(image.resize((round(image.width * scale), round(image.height * scale))))


def enlarged(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture scaled up: the copy with more pixels is the one to keep."""
    for scale in (1.3, 1.2, 1.1):
        yield encoded(image.resize((round(image.width * scale), round(image.height * scale))))


def cropped(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture without a thin rim, thinner each time."""
    for rim in (5, 4, 3, 2, 1):
        yield encoded(image.crop((rim, rim, image.width - rim, image.height - rim)))


def turned(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture stored on its side, with the EXIF tag that turns it upright again."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = TURNED_LEFT
    yield encoded(image.transpose(Image.Transpose.ROTATE_90), quality=82, exif=exif)


def lossless(image: Image.Image) -> Iterator[bytes]:
    """Yield the picture as a PNG: the same pixels in more bytes."""
    yield encoded(image, "PNG")


COPIES: dict[str, Callable[[Image.Image], Iterator[bytes]]] = {
    "recompressed": recompressed,
    "resized": resized,
    "enlarged": enlarged,
    "cropped": cropped,
    "turned": turned,
    "lossless": lossless,
}


def near_copy(data: bytes, kind: str) -> bytes:
    """Return other bytes that show the same picture, changed in the given way as far as its hash allows.

    Falls back on a light recompression where even the gentlest change of that kind moves the hash too far.
    """
    image = decoded(data)
    original = phash(image)
    for candidate in (*COPIES[kind](image), encoded(image, quality=90), encoded(image, quality=96)):
        if hamming(original, phash(decoded(candidate))) <= MAX_COPY_DISTANCE and candidate != data:
            return candidate
    raise AssertionError(f"no {kind} copy within {MAX_COPY_DISTANCE} bits of a picture of {image.size}")
