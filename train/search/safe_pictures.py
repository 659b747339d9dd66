"""Pictures of strangers: looked at before they are decoded, upright, small copies to show."""

import io

from PIL import Image, ImageOps

MAX_PIXELS = 40_000_000  # of what is decoded: 120 MB
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
_BACKGROUND = (255, 255, 255)


class BadPictureError(ValueError):
    """Bytes that are no picture, broken, or more than is decoded here."""


def upright(data: bytes, max_side_px: int | None = None) -> Image.Image:
    """Return the picture (of a film, its first) in RGB and upright, its longer side at most `max_side_px`.

    Raises BadPictureError.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadPictureError(
                    f"{image.width} x {image.height} px are more than {MAX_PIXELS // 1_000_000} megapixels"
                )
            if max_side_px:
                image.draft("RGB", (max_side_px, max_side_px))
            image.load()
            picture = ImageOps.exif_transpose(image)
    except BadPictureError:
        raise
    except (OSError, SyntaxError, ValueError, OverflowError, Image.DecompressionBombError) as error:
        raise BadPictureError("these bytes are no JPEG, PNG, WebP or GIF that can be read") from error
    if max_side_px:
        picture.thumbnail((max_side_px, max_side_px))
    return _on_white(picture)


def for_model(data: bytes) -> bytes:
    """Return a stranger's picture as bytes that `evaluation_pixels` takes. Raises BadPictureError."""
    buffer = io.BytesIO()
    upright(data).save(buffer, "PNG", compress_level=0)
    return buffer.getvalue()


def as_shown(data: bytes, max_side_px: int, max_bytes: int) -> tuple[bytes, str]:
    """Return a picture as a browser may have it, and its media type: its own bytes where it is small, else a
    smaller JPEG. Raises BadPictureError."""
    if len(data) <= max_bytes and (kind := _kind(data, max_side_px)):
        return data, kind
    buffer = io.BytesIO()
    upright(data, max_side_px).save(buffer, "JPEG", quality=85)
    return buffer.getvalue(), "image/jpeg"


def _kind(data: bytes, max_side_px: int) -> str | None:
    """Return the media type of a picture that can be shown as it is."""
    try:
        with Image.open(io.BytesIO(data), formats=tuple(_TYPES)) as image:
            small = max(image.size) <= max_side_px
            return _TYPES[str(image.format)] if small and not image.getexif() else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def _on_white(picture: Image.Image) -> Image.Image:
    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    ground = Image.new("RGB", picture.size, _BACKGROUND)
    ground.paste(with_alpha, mask=with_alpha.getchannel("A"))
    return ground
