import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from train import transforms
from train.config import DataConfig
from train.transforms import MEAN, STD, evaluation_pixels, normalise, random_bytes, stack, training_pixels

GROCERY = Path(__file__).parents[1] / "../shared/data/pairs/grocery/images"


def encoded(picture: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind)
    return buffer.getvalue()


def gradient(width_px: int, height_px: int) -> Image.Image:
    """A picture whose red says the column and whose green says the row."""
    y, x = np.mgrid[:height_px, :width_px]
    channels = np.stack([x * 255 // width_px, y * 255 // height_px, 0 * x], axis=-1)
    return Image.fromarray(channels.astype(np.uint8))


@pytest.mark.parametrize("size", [(40, 20), (20, 40), (33, 33)])
def test_training_crops_lie_inside_and_have_the_asked_side(size: tuple[int, int]) -> None:
    config = DataConfig(batch_size=2, min_crop_share=0.3, flip=True)
    for epoch in range(20):
        pixels = training_pixels(encoded(gradient(*size)), 16, config, random_bytes(0, epoch, "key"))
        assert pixels.shape == (16, 16, 3)


def test_the_papers_crop_spans_the_shorter_side() -> None:
    pixels = training_pixels(encoded(gradient(64, 32)), 32, DataConfig(batch_size=2), random_bytes(0, 0, "a"))
    assert np.array_equal(pixels[:, 0, 1], np.asarray(gradient(64, 32))[:, 0, 1])


def test_a_crop_is_decided_by_seed_epoch_and_key() -> None:
    config, data = DataConfig(batch_size=2, min_crop_share=0.3), encoded(gradient(64, 48))
    crops = [
        training_pixels(data, 16, config, random_bytes(*place)).tobytes()
        for place in ((0, 0, "a"), (0, 0, "a"), (1, 0, "a"), (0, 1, "a"), (0, 0, "b"))
    ]
    assert crops[0] == crops[1]
    assert len(set(crops)) == 4


def test_half_of_the_pictures_are_mirrored_when_asked() -> None:
    data, config = encoded(gradient(32, 32)), DataConfig(batch_size=2, flip=True)
    crops = [training_pixels(data, 32, config, random_bytes(0, 0, str(key))) for key in range(200)]
    num_mirrored = sum(bool(crop[0, 0, 0] > crop[0, -1, 0]) for crop in crops)
    assert 70 < num_mirrored < 130


def pillow_crop(data: bytes, side_px: int, min_crop_share: float, randomness: bytes) -> NDArray[np.int64]:
    """The crop that `training_pixels` takes, of the whole picture and by Pillow alone."""
    share, left, top, _ = np.frombuffer(randomness, dtype="<u4") / 2**32
    image = Image.open(io.BytesIO(data)).convert("RGB")
    crop_px = min(image.size) * (1 - share * (1 - min_crop_share))
    x, y = left * (image.width - crop_px), top * (image.height - crop_px)
    box = (x, y, min(x + crop_px, image.width), min(y + crop_px, image.height))
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BICUBIC, box=box)).astype(np.int64)


@pytest.mark.parametrize("side_px", [300, 224, 160, 90, 40])
def test_a_training_crop_is_pillows_within_a_level_also_of_a_jpeg_decoded_small(side_px: int) -> None:
    photos = sorted(GROCERY.rglob("*.jpg"))[:200:25]
    if not photos:
        pytest.skip(f"no photos in {GROCERY}")
    config = DataConfig(batch_size=2, min_crop_share=0.8)
    for number, photo in enumerate(photos):
        data, randomness = photo.read_bytes(), random_bytes(0, number, "key")
        found = training_pixels(data, side_px, config, randomness)
        assert np.abs(found - pillow_crop(data, side_px, 0.8, randomness)).mean() < 1


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (50, 50), (301, 200)])
def test_the_evaluation_crop_is_clips_resize_and_centre_crop(size: tuple[int, int]) -> None:
    picture = gradient(*size)
    width, height = (
        (int(32 * size[0] / size[1]), 32) if size[0] > size[1] else (32, int(32 * size[1] / size[0]))
    )
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 32) / 2.0), round((height - 32) / 2.0)
    expected = np.asarray(resized)[top : top + 32, left : left + 32]
    assert np.array_equal(evaluation_pixels(encoded(picture), 32), expected)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1"])
def test_every_mode_becomes_three_channels(mode: str) -> None:
    data = encoded(gradient(32, 32).convert(mode))
    assert evaluation_pixels(data, 16).shape == (16, 16, 3)
    assert training_pixels(data, 16, DataConfig(batch_size=2), bytes(16)).shape == (16, 16, 3)


def test_normalised_pixels_have_clips_mean_and_deviation() -> None:
    images = stack([np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8)])
    values = normalise(images, torch.device("cpu"))
    expected = [[-mean / std, (1 - mean) / std] for mean, std in zip(MEAN, STD, strict=True)]
    assert torch.allclose(values[:, :, 0, 0].t(), torch.tensor(expected))


def test_what_an_evaluation_normalised_first_can_be_learnt_through() -> None:
    transforms._mean_and_std.cache_clear()
    pictures = torch.zeros(1, 3, 2, 2, dtype=torch.uint8)
    with torch.inference_mode():
        normalise(pictures, torch.device("cpu"))
    mean, std = transforms._mean_and_std(torch.device("cpu"))
    values = torch.zeros(1, 3, 2, 2, requires_grad=True)
    ((values - mean) / std).sum().backward()
    assert values.grad is not None
