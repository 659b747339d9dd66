"""Scores of pictures: encoded bytes to what a model wants to be fed, and the score that it gives."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from filters.onnx_models import load_model
from filters.scorers import OnnxScorer

BICUBIC = Image.Resampling.BICUBIC


def open_picture(data: bytes) -> Image.Image | None:
    """Return a stored picture in RGB; None where it cannot be decoded."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def prepare(picture: Image.Image, scorer: OnnxScorer) -> NDArray[np.float32]:
    """Return float32 (side, side, 3) of a picture in RGB, as the scorer's model wants it."""
    pixels = np.asarray(_square(picture, scorer), dtype=np.float32) / np.float32(255)
    ordered = pixels if scorer.channels == "rgb" else pixels[:, :, ::-1]
    mean: NDArray[np.float32] = np.array(scorer.mean, np.float32)
    std: NDArray[np.float32] = np.array(scorer.std, np.float32)
    prepared: NDArray[np.float32] = (ordered - mean) / std
    return prepared


def _square(picture: Image.Image, scorer: OnnxScorer) -> Image.Image:
    side = scorer.side_px
    if scorer.resize == "stretch":
        return picture.resize((side, side), BICUBIC)
    whole = max(picture.size) if scorer.resize == "pad" else min(picture.size)
    size = [max(1, round(length * side / whole)) for length in picture.size]
    resized = picture.resize((size[0], size[1]), BICUBIC)
    # Beyond its edge a crop is black, which is what fills a square.
    x, y = ((length - side) // 2 for length in size)
    return resized.crop((x, y, x + side, y + side))


def measure(scorer: OnnxScorer, pictures: Sequence[Image.Image]) -> list[float]:
    """Return the scores of pictures in RGB. In one thread and in batches of one size, so that equal pictures
    in equal order have equal scores. Raises ValueError where the model cannot be used so."""
    model = load_model(scorer)
    scores: list[float] = []
    for start in range(0, len(pictures), model.batch_size):
        batch = pictures[start : start + model.batch_size]
        prepared = np.stack([prepare(picture, scorer) for picture in batch])
        scores += model.run(prepared)[: len(batch)].tolist()
    return scores


def check_scorer(scorer: OnnxScorer) -> None:
    """Raise ValueError where a scorer cannot be used, before anything is spent."""
    measure(scorer, [Image.new("RGB", (scorer.side_px, scorer.side_px))])
