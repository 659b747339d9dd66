"""Bytes to a stored picture: header first, then decode, orient, hash, resize, encode, in one thread."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from filters.checks import ImageChecks, screen_image
from filters.hashes import phash, sha256_hex
from filters.images import ImageHeader, read_header
from filters.reasons import Drop, Reason
from pipeline.limits import Encode

# What Pillow raises on damaged files, seen on hundreds of them.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AttributeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPicture:
    """A picture as it is stored, and what was measured on the way."""

    data: bytes
    width: int
    height: int
    original_width: int
    original_height: int
    original_bytes: int
    sha256: str
    phash: int


@contextmanager
def pillow_kept_quiet() -> Iterator[None]:
    """Silence Pillow's warnings of odd metadata: the pixels are what counts. To be entered around the threads
    that decode and not by each of them: what is silenced, and put back, is the whole process's."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def encode_picture(data: bytes, checks: ImageChecks, encode: Encode) -> EncodedPicture | Drop:
    """Return the picture of a file as it is to be stored, or why it is not kept."""
    screened = screen_image(data, checks)
    if screened.drop:
        return screened.drop
    header = screened.header
    assert header is not None
    try:
        image = decode(data, header, encode.shorter_side_px)
    except DECODE_ERRORS as error:
        return Drop(Reason.IMAGE_CORRUPT, f"{header.format} does not decode: {type(error).__name__}")
    stored = shrink(image, encode.shorter_side_px)
    return EncodedPicture(
        data=to_jpeg(stored, encode.jpeg_quality),
        width=stored.width,
        height=stored.height,
        original_width=header.width_px,
        original_height=header.height_px,
        original_bytes=len(data),
        sha256=sha256_hex(data),
        phash=phash(image),
    )


def decode(data: bytes, header: ImageHeader, shorter_side_px: int) -> Image.Image:
    """Decode to upright RGB. A JPEG is decoded at the smallest DCT scale (1, 1/2, 1/4, 1/8) that leaves
    both sides at least `shorter_side_px`; its hash is that of the scaled pixels. Transparent parts turn
    white. Raises one of DECODE_ERRORS on a damaged file."""
    with Image.open(io.BytesIO(data), formats=[header.format.upper()]) as image:
        if header.format == "jpeg":
            image.draft("RGB", (shorter_side_px, shorter_side_px))
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB: 16 bits scaled to 8, transparency on white."""
    if image.mode.startswith("I"):  # 16 bits: Pillow's own conversion would clip all but the darkest to white
        wide = np.clip(np.asarray(image.convert("I")), 0, 65535)
        return Image.fromarray((wide >> 8).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return image.convert("L").convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def shrink(image: Image.Image, shorter_side_px: int) -> Image.Image:
    """Scale down to the shorter side, ratio kept; a smaller picture is returned as it is."""
    scale = shorter_side_px / min(image.size)
    if scale >= 1:
        return image
    size = (round(image.width * scale), round(image.height * scale))
    return image.resize(size, Image.Resampling.BICUBIC)


def to_jpeg(image: Image.Image, quality: int) -> bytes:
    """Encode as baseline JPEG without metadata."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def thumbnail(data: bytes, max_side_px: int = 128) -> bytes | None:
    """Return a small JPEG of a picture for the report, None where it cannot be decoded."""
    header = read_header(data)
    if header is None or header.width_px * header.height_px > 50_000_000:
        return None
    try:
        image = decode(data, header, max_side_px)
    except DECODE_ERRORS:
        return None
    image.thumbnail((max_side_px, max_side_px))
    return to_jpeg(image, 80)
