"""Sizes in which pictures are stored, and the resizing itself: the modes of img2dataset."""

from threading import local

from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer
from PIL import Image

from pipeline.limits import Encode

Size = tuple[int, int]  # width, height

# a = -0.5, what Pillow calls BICUBIC: within a level of it, at a ninth of its time.
_BICUBIC = ResizeOptions(ResizeAlg.convolution(FilterType.catmull_rom))


def fit(image: Image.Image, full_size: Size, encode: Encode) -> Image.Image:
    """Return an RGB picture as large as it is stored; the picture itself where that is its own size.

    `full_size` is that of the whole picture, of which `image` may be a smaller decode.
    """
    size = scaled_size(full_size, encode)
    if size is None:
        return image
    side_px = encode.side_px
    resized = resize(image, size)
    if encode.resize == "center_crop":
        left, top = (size[0] - side_px) // 2, (size[1] - side_px) // 2
        return resized.crop((left, top, left + side_px, top + side_px))
    if encode.resize == "border":
        canvas = Image.new("RGB", (side_px, side_px), "white")
        canvas.paste(resized, ((side_px - size[0]) // 2, (side_px - size[1]) // 2))
        return canvas
    return resized


def scaled_size(size: Size, encode: Encode) -> Size | None:
    """Return the size to which a picture is scaled, its ratio kept; None where it stays as it is.

    Then nothing is cropped or padded either, as in img2dataset: with `only_if_bigger`, small pictures keep
    their size in every mode.
    """
    if encode.resize == "no":
        return None
    whole = encode.resize in ("border", "keep_ratio_largest")
    measured = max(size) if whole else min(size)
    if encode.only_if_bigger and measured <= encode.side_px:
        return None
    scale = encode.side_px / measured
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: Image.Image, size: Size) -> Image.Image:
    """Return an RGB picture in another size, by bicubic convolution."""
    if image.size == size:
        return image
    resized = Image.new("RGB", size)
    _kept.resizer.resize_pil(image, resized, _BICUBIC)
    return resized


class _OfThread(local):
    """A resizer, with the memory of what it works on, for one picture after the other."""

    def __init__(self) -> None:
        self.resizer = Resizer()


_kept = _OfThread()
