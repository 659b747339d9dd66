"""The ascent: strokes moved, widened and coloured until a model finds a prompt in them (CLIPDraw: Frans,
Soros, Witkowski 2021, arXiv 2106.14843).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from train.draw.files import png_of
from train.draw.strokes import CANVAS, Strokes, random_strokes, soft_pixels
from train.draw.views import random_views
from train.trained import TrainedModel
from train.transforms import evaluation_pixels, normalise

POINTS_LR, WIDTHS_LR, COLOURS_LR = 3.0, 0.3, 0.03  # three times CLIPDraw's, for a fifth of its steps
SLOWER = ((0.75, 0.1), (0.5, 0.4))  # from this share of the steps on, points move at this rate, as there
WIDTHS = (1.0, 50.0)  # as there
MINUS_WEIGHT = 0.3  # as there


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """What is drawn, and how long."""

    prompt: str
    minus: Sequence[str]
    num_strokes: int
    num_steps: int
    num_copies: int
    side_px: int | None  # of the pixels that the gradient is taken of; None: the model's
    seed: int


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Strokes, and the prompt's cosine with the picture of them before and after the ascent."""

    strokes: Strokes
    before: float
    after: float


def ascend(trained: TrainedModel, ascent: Ascent) -> Drawing:
    """Return a drawing; the same for the same seed on the same CPU by as many threads."""
    generator = torch.Generator().manual_seed(ascent.seed)
    trained.model.requires_grad_(False)
    first = random_strokes(ascent.num_strokes, generator)
    strokes = Strokes(**{name: _leaf(tensor, trained) for name, tensor in vars(first).items()})
    # Of inference mode no gradient can be taken; a clone is out of it.
    texts = trained.text_features([ascent.prompt, *ascent.minus]).clone().to(trained.device)
    optimiser = torch.optim.Adam(
        {"params": [tensor], "lr": rate}
        for tensor, rate in zip(strokes.tensors(), (POINTS_LR, WIDTHS_LR, COLOURS_LR), strict=True)
    )
    for step in tqdm(range(ascent.num_steps), desc="drawn", unit=" steps", disable=None):
        optimiser.param_groups[0]["lr"] = points_rate(step / ascent.num_steps)
        optimiser.zero_grad()
        _loss(trained, strokes, texts, ascent, generator).backward()  # type: ignore[no-untyped-call]  # torch's
        optimiser.step()
        _keep_within_limits(strokes)
    last = strokes.finished()
    return Drawing(
        strokes=last,
        before=prompt_cosine(trained, first, ascent.prompt),
        after=prompt_cosine(trained, last, ascent.prompt),
    )


def points_rate(share_done: float) -> float:
    """Return how fast points move.

    >>> tuple(round(points_rate(share), 1) for share in (0.0, 0.5, 0.75))
    (3.0, 1.2, 0.3)
    """
    return POINTS_LR * next((factor for start, factor in SLOWER if share_done >= start), 1.0)


def prompt_cosine(trained: TrainedModel, strokes: Strokes, prompt: str) -> float:
    """Return the cosine of a prompt with the PNG of strokes, as anybody would measure it."""
    picture = evaluation_pixels(png_of(strokes, int(CANVAS)), trained.image_side_px)
    return (trained.image_features([picture])[0] @ trained.text_features([prompt])[0]).item()


def _leaf(tensor: Tensor, trained: TrainedModel) -> Tensor:
    return tensor.to(trained.device, copy=True).requires_grad_()


def _loss(
    trained: TrainedModel, strokes: Strokes, texts: Tensor, ascent: Ascent, generator: torch.Generator
) -> Tensor:
    """Return minus the mean cosine of views with the first text, plus a share of those with the others."""
    image = soft_pixels(strokes, ascent.side_px or trained.image_side_px)
    views = random_views(image, ascent.num_copies, trained.image_side_px, generator)
    features = F.normalize(trained.model.encode_image(normalise(255 * views, trained.device)), dim=-1)
    wanted, *unwanted = (features @ texts.t()).mean(dim=0)
    return torch.stack([-wanted, *(MINUS_WEIGHT * cosine for cosine in unwanted)]).sum()


@torch.no_grad()
def _keep_within_limits(strokes: Strokes) -> None:
    strokes.widths.clamp_(*WIDTHS)
    strokes.colours.clamp_(0, 1)
