"""What a picture's header says before any pixel is decoded: format, sides, aspect, declared area."""

import struct
import zlib
from dataclasses import dataclass
from io import BytesIO

from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Image import DecompressionBombError
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from filters.reasons import Drop, Reason

# First bytes -> the one Pillow reader that may look at the rest. Whatever else Pillow can read stays shut:
# its rarer readers are rarely fuzzed, and browsers show none of them.
_READERS: tuple[tuple[bytes, str, type[ImageFile]], ...] = (
    (b"\xff\xd8\xff", "jpeg", JpegImageFile),
    (b"\x89PNG\r\n\x1a\n", "png", PngImageFile),
    (b"GIF87a", "gif", GifImageFile),
    (b"GIF89a", "gif", GifImageFile),
    (b"BM", "bmp", BmpImageFile),
    (b"II*\x00", "tiff", TiffImageFile),
    (b"MM\x00*", "tiff", TiffImageFile),
)

# What Pillow's readers are seen to raise on hostile headers (found by fuzzing, see test_filters_images.py).
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    DecompressionBombError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What a picture says of itself. The sides are declared ones: nothing has been decoded."""

    format: str  # jpeg, png, webp, gif, bmp or tiff
    width_px: int
    height_px: int


def sniff_format(data: bytes) -> str | None:
    """Return the format that the first bytes announce ("jpeg"); None where it is none of the six we read.

    A URL's ending and a server's Content-Type are often wrong; the bytes are what will be decoded.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for signature, name, _ in _READERS if data.startswith(signature)), None)


def read_header(data: bytes) -> ImageHeader | None:
    """Return the header of an encoded picture; None where there is none, or the bytes end before it does.

    The reader is called by itself rather than through `PIL.Image.open`, which raises at a large declared area
    instead of telling it; `ImageRules` does the refusing.
    """
    if sniff_format(data) == "webp":
        return _webp_header(data)
    opened = open_picture(data)
    return header_of(opened) if opened else None


def open_picture(data: bytes) -> ImageFile | None:
    """Return an encoded picture as Pillow's reader opens it, no pixel decoded; None where it cannot, and of a
    WebP, which is not opened before its header has been screened."""
    name = sniff_format(data)
    reader = next((reader for _, known, reader in _READERS if known == name), None)
    try:
        return reader(BytesIO(data)) if reader else None
    except _BROKEN:
        return None


def header_of(opened: ImageFile) -> ImageHeader:
    """Return the header of an opened picture."""
    assert opened.format
    return ImageHeader(format=opened.format.lower(), width_px=opened.width, height_px=opened.height)


def _webp_header(data: bytes) -> ImageHeader | None:
    """Read the sides where the format's specification has them (RFC 9649): Pillow's reader would allocate
    two canvases of the declared area to tell them."""
    kind, bits = data[12:16], int.from_bytes(data[21:25], "little")
    if kind == b"VP8X":
        sides = int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L" and data[20:21] == b"\x2f":
        sides = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width_px, height_px = (int.from_bytes(data[place : place + 2], "little") for place in (26, 28))
        sides = width_px & 0x3FFF, height_px & 0x3FFF
    else:
        return None
    if len(data) < 30 or 0 in sides:
        return None
    return ImageHeader(format="webp", width_px=sides[0], height_px=sides[1])


@dataclass(frozen=True, kw_only=True)
class ImageRules:
    """Limits on a picture's declared sides: icons, banners and decompression bombs go."""

    min_side_px: int = 64
    """Shorter side in pixels; CLIP's smallest input is 224, and below 64 little but icons is found."""
    max_aspect: float = 3.0
    """Longer side over shorter side: banners and rules lose most of themselves in a square crop."""
    max_pixels: int = 100_000_000
    """Declared area. A few kB can declare gigapixels; this is 300 MB decoded."""

    def __post_init__(self) -> None:
        """Raise ValueError at limits that would keep nothing."""
        if self.min_side_px < 1 or self.max_aspect < 1 or self.max_pixels < self.min_side_px**2:
            raise ValueError(
                f"min_side_px {self.min_side_px}, max_aspect {self.max_aspect}, max_pixels {self.max_pixels} "
                "keep no picture: give a side >= 1, an aspect >= 1 and an area >= the side squared"
            )

    def check_header(self, header: ImageHeader) -> Drop | None:
        """Return why a picture of this header is dropped, area first: it is the one that does harm."""
        width_px, height_px = header.width_px, header.height_px
        if width_px * height_px > self.max_pixels:
            return Drop(
                Reason.IMAGE_TOO_MANY_PIXELS,
                f"{width_px} x {height_px} = {width_px * height_px} px > {self.max_pixels} px",
            )
        shorter_px, longer_px = sorted((width_px, height_px))
        if shorter_px < self.min_side_px:
            return Drop(Reason.IMAGE_TOO_SMALL, f"shorter side {shorter_px} px < {self.min_side_px} px")
        # Multiplied out, so that a picture of exactly the limit is kept whatever its sides round to.
        if longer_px > self.max_aspect * shorter_px:
            return Drop(
                Reason.IMAGE_EXTREME_ASPECT, f"aspect {longer_px / shorter_px:.2f} > {self.max_aspect:g}"
            )
        return None
