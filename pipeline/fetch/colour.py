"""Decoded pictures of any mode, depth and colour profile to 8-bit sRGB."""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from filters.reasons import Drop, Reason

NEAR_SRGB = 2  # levels by which no colour may move for a profile to count as sRGB itself
MAX_PROFILES = 64
_MODE_OF_SPACE = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_BITS_PER_SAMPLE = 258  # TIFF


def to_srgb(image: Image.Image) -> Image.Image | Drop:
    """Return a decoded picture as RGB: white behind what is transparent, wide samples scaled to 8 bits, its
    colour profile applied. A profile that is damaged, or of another kind of colour, is as good as none.

    A picture whose samples have no known white (floats beyond 0 to 1, signed or 32-bit whole numbers) is
    dropped: any scale would be a guess.
    """
    profile = image.info.get("icc_profile")
    if image.mode == "F" or image.mode.startswith("I"):
        narrow = to_8_bits(image)
        if isinstance(narrow, Drop):
            return narrow
        image = narrow
    if image.has_transparency_data:
        image = on_white(image)
    return apply_profile(image, profile) if profile else rgb(image)


def rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def to_8_bits(image: Image.Image) -> Image.Image | Drop:
    """Scale grey samples of 16 bits or float, which Pillow would clip to white. Transparency turns white."""
    samples = np.asarray(image)
    if image.mode == "F":
        return _within(samples, 1.0) or Image.fromarray(np.rint(samples * 255).astype(np.uint8))
    bits = _bits_per_sample(image)
    drop = _within(samples, (1 << bits) - 1)
    if drop:
        return drop
    narrow = (samples >> (bits - 8)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        narrow[samples == transparent] = 255
    return Image.fromarray(narrow)


def _bits_per_sample(image: Image.Image) -> int:
    """Return 16, but for the TIFFs of 12 bits, which Pillow leaves at 0 to 4095."""
    tags = getattr(image, "tag_v2", {})
    bits: int = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    return bits if 8 < bits <= 16 else 16


def _within(samples: NDArray[np.generic], white: float) -> Drop | None:
    lowest, highest = samples.min(), samples.max()
    if lowest >= 0 and highest <= white:  # false of NaN too
        return None
    return Drop(Reason.IMAGE_NO_WHITE, f"samples from {lowest:g} to {highest:g}, not 0 to {white:g}")


def on_white(image: Image.Image) -> Image.Image:
    """Return the picture in front of white, as RGB."""
    layer = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = layer.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return layer.convert("RGB")
    white = Image.new("RGB", layer.size, "white")
    white.paste(layer, mask=alpha)
    return white


def apply_profile(image: Image.Image, profile: bytes) -> Image.Image:
    """Return the picture in sRGB, or as it is where the profile is for another kind of colour."""
    transform = transform_of(profile)
    if transform is None:
        return rgb(image)
    if transform.input_mode == "RGB" and image.mode != "CMYK":
        image = rgb(image)  # palettes and greys too
    if transform.input_mode != image.mode:
        return rgb(image)
    moved = ImageCms.applyTransform(image, transform)
    assert moved is not None  # it is only where the picture is changed in place
    return moved


@lru_cache(MAX_PROFILES)
def transform_of(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    """Return what turns colours of an ICC profile into sRGB, None where nothing need or can be done.

    Names of profiles say little ("c2" is sRGB to the last digit), so a cube of colours is sent through.
    """
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = _MODE_OF_SPACE.get(source.profile.xcolor_space)
        if mode is None:
            return None
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
        cube = Image.fromarray(_cube()).convert(mode)
        moved = ImageCms.applyTransform(cube, transform)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    distance = np.abs(np.asarray(moved, dtype=np.int16) - np.asarray(rgb(cube), dtype=np.int16)).max()
    return None if mode != "CMYK" and distance <= NEAR_SRGB else transform


def _cube() -> NDArray[np.uint8]:
    """Return 9 x 9 x 9 colours as a picture (9, 81, 3)."""
    levels = np.linspace(0, 255, 9).astype(np.uint8)
    return np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(9, 81, 3)
