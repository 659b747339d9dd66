"""From encoded pictures to uint8 tensors, and from those to what a model takes.

Pixels stay uint8 until they are on the device: a quarter of the bytes to move.
"""

import hashlib
import io
import math
from functools import cache

import numpy as np
import torch
from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from train.config import DataConfig

MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures (CLIP/clip/clip.py)
STD = (0.26862954, 0.26130258, 0.27577711)

# a = -0.5, what Pillow calls BICUBIC: a fifth of a level from it on average, at a quarter of its time.
_BICUBIC = ResizeAlg.convolution(FilterType.catmull_rom)

# What Pillow raises on bytes that are no picture, broken or too large to be honest.
PICTURE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def training_pixels(data: bytes, side_px: int, config: DataConfig, randomness: bytes) -> NDArray[np.uint8]:
    """Return a random square crop, resized to (side_px, side_px, 3).

    The crop's side is between `min_crop_share` of the picture's shorter side and all of it. Everything
    random is taken from `randomness`, 16 bytes. Raises one of PICTURE_ERRORS.

    On average over a picture, pixels are Pillow's BICUBIC ones within a level.
    """
    share, left, top, mirror = np.frombuffer(randomness, dtype="<u4") / 2**32  # four numbers in [0, 1)
    with Image.open(io.BytesIO(data)) as image:
        width_px, height_px = image.size
        crop_px = min(image.size) * (1 - share * (1 - config.min_crop_share))
        x, y = left * (width_px - crop_px), top * (height_px - crop_px)
        # A JPEG is decoded at a half, a quarter or an eighth of its size, which is much quicker, where its
        # crop is then still twice as large as wanted. Nearer to that it would save less and differ more: by
        # 1.5 levels on average, not 0.6.
        needed = 2 * side_px / crop_px
        image.draft("RGB", (math.ceil(width_px * needed), math.ceil(height_px * needed)))
        image.load()
    picture = _to_rgb(image)
    scale_x, scale_y = picture.width / width_px, picture.height / height_px
    x, y, width, height = x * scale_x, y * scale_y, crop_px * scale_x, crop_px * scale_y
    # Rounding may pass the edge.
    box = CropBox(x, y, min(width, picture.width - x), min(height, picture.height - y))
    resized = Image.new("RGB", (side_px, side_px))
    Resizer().resize_pil(picture, resized, ResizeOptions(_BICUBIC, crop_box=box))
    pixels = np.asarray(resized)
    return pixels[:, ::-1] if config.flip and mirror < 0.5 else pixels


def evaluation_pixels(data: bytes, side_px: int) -> NDArray[np.uint8]:
    """Return the centre square (side_px, side_px, 3), exactly as CLIP/clip/clip.py `_transform` cuts it.

    Raises one of PICTURE_ERRORS.
    """
    with Image.open(io.BytesIO(data)) as image:
        image.load()
    longer_px = int(side_px * max(image.size) / min(image.size))
    size = (longer_px, side_px) if image.width > image.height else (side_px, longer_px)
    # CLIP resizes and crops in the file's own mode and converts last.
    resized = image.resize(size, Image.Resampling.BICUBIC)
    x = round((resized.width - side_px) / 2)
    y = round((resized.height - side_px) / 2)
    return np.asarray(_to_rgb(resized.crop((x, y, x + side_px, y + side_px))))


def random_bytes(seed: int, epoch: int, key: str) -> bytes:
    """Return the 16 bytes that decide one picture's crop in one epoch, whoever decodes it and when."""
    return hashlib.blake2b(f"{seed} {epoch} {key}".encode(), digest_size=16).digest()


def stack(pictures: list[NDArray[np.uint8]]) -> Tensor:
    """Return pictures (S, S, 3) as one uint8 tensor (B, 3, S, S)."""
    side_px = len(pictures[0])
    images = np.empty((len(pictures), 3, side_px, side_px), np.uint8)
    for image, picture in zip(images, pictures, strict=True):
        image[:] = picture.transpose(2, 0, 1)  # one copy each, a quarter of the time of stacking first
    return torch.from_numpy(images)


def normalise(images: Tensor, device: torch.device) -> Tensor:
    """Move uint8 pictures (B, 3, S, S) to the device and return them as float32 with CLIP's mean and
    deviation.
    """
    mean, std = _mean_and_std(device)
    # In place: the same numbers as (x / 255 - mean) / std, at a third of its time on a CPU.
    return images.to(device, non_blocking=True).float().div_(255).sub_(mean).div_(std)


@cache
def _mean_and_std(device: torch.device) -> tuple[Tensor, Tensor]:
    """Return both as (3, 1, 1), sent to a device once and not with every batch."""
    # Also where an evaluation asks first: what is made for inference alone can take part in no gradient.
    with torch.inference_mode(False):
        return torch.tensor(MEAN, device=device).view(3, 1, 1), torch.tensor(STD, device=device).view(3, 1, 1)


def _to_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")
