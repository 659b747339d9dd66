"""Pixels to the bytes that are stored, without any metadata."""

import io

from PIL import Image

from pipeline.limits import Encode, Format

PNG_COMPRESSION = 6  # zlib's own default; 9 takes thrice as long for some hundredths


def to_bytes(image: Image.Image, encode: Encode) -> bytes:
    """Encode an RGB picture: baseline JPEG (4:2:0), PNG or lossy WebP."""
    buffer = io.BytesIO()
    if encode.format == "png":
        image.save(buffer, "PNG", compress_level=PNG_COMPRESSION, icc_profile=None, exif=None)
    else:
        image.save(buffer, _NAMES[encode.format], quality=encode.quality, icc_profile=None, exif=b"")
    return buffer.getvalue()


_NAMES: dict[Format, str] = {"jpeg": "JPEG", "webp": "WEBP"}
