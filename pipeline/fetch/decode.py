"""An encoded picture to upright 8-bit sRGB pixels."""

import io
import struct
import zlib
from typing import NamedTuple

from PIL import Image
from PIL.ImageFile import ImageFile

from filters.images import ImageHeader
from filters.reasons import Drop, Reason
from pipeline.fetch.colour import to_srgb, transform_of

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
DCT_SCALES = (4, 2)  # at 1/8 each block is but its mean, and what is kept is off by more than a level
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
    Image.Transpose.ROTATE_90,
)


class Decoded(NamedTuple):
    """Upright sRGB pixels."""

    image: Image.Image  # mode RGB
    full_size: tuple[int, int]  # width and height of the upright picture when it is decoded whole
    plain: bool  # whether a reader sees the same that knows nothing of the file's metadata


def dct_scale(header: ImageHeader, side_px: int | None) -> int:
    """Return n of the smallest scale 1/n at which a JPEG's sides are both at least `side_px`: 4, 2 or 1.

    Other formats, and all where `side_px` is None, are decoded whole: 1.
    """
    if header.format != "jpeg" or side_px is None:
        return 1
    fits = min(header.width_px, header.height_px) // side_px
    return next((scale for scale in DCT_SCALES if scale <= fits), 1)


def decode(
    data: bytes, header: ImageHeader, scale: int = 1, opened: ImageFile | None = None
) -> Decoded | Drop:
    """Decode to upright sRGB pixels, a JPEG at 1/scale; of an animation the first frame. `opened` is the same
    picture where it has been opened before; it is closed.

    Returns a Drop for a picture that is damaged, whose samples have no known white, or that needs more memory
    than this process may have.
    """
    try:
        with opened or Image.open(io.BytesIO(data), formats=[header.format.upper()]) as image:
            if scale > 1:
                image.draft("RGB", (header.width_px // scale, header.height_px // scale))
            if header.format == "jpeg" and image.mode == "RGB":
                # Four bytes a pixel as Pillow holds them, which need no unpacking: the same pixels.
                image.tile = [tile._replace(args=("RGBX", "")) for tile in image.tile]
            image.load()
            turn = _turn(image)
            profile = image.info.get("icc_profile")
            plain = turn is None and image.mode in ("RGB", "L") and not (profile and transform_of(profile))
            pixels = to_srgb(image)
    except DECODE_ERRORS as error:
        if isinstance(error, MemoryError) or not _fits(header):
            size = f"{header.width_px} x {header.height_px}"
            return Drop(Reason.IMAGE_TOO_MUCH_MEMORY, f"{size} {header.format} does not fit into memory")
        return Drop(Reason.IMAGE_CORRUPT, f"{header.format} does not decode: {type(error).__name__}")
    if isinstance(pixels, Drop):
        return pixels
    full_size = (header.width_px, header.height_px)
    if turn is not None:
        pixels = pixels.transpose(turn)
        if turn in _SIDEWAYS:
            full_size = full_size[::-1]
    return Decoded(pixels, full_size, plain)


def _fits(header: ImageHeader) -> bool:
    """Return whether there is memory for two copies of the pixels: not every library says what it lacked."""
    try:
        bytearray(2 * 4 * header.width_px * header.height_px)
    except MemoryError:
        return False
    return True


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return what brings the picture upright; None also where its EXIF is damaged, as pixels are not."""
    try:
        return _UPRIGHT.get(image.getexif().get(_ORIENTATION, 1))
    except DECODE_ERRORS:
        return None
