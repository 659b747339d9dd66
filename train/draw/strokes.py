"""Strokes, cubic Bezier curves with a width and a colour, and how they look to a model: in soft pixels,
which a gradient can be taken of. (CLIPDraw renders with diffvg, which has to be compiled; this is torch.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

CANVAS = 224.0  # the side of what is drawn on, in the units of points and widths, as in CLIPDraw
NUM_SEGMENTS = 12  # straight ones, that a curve is drawn as
BLUR_PX = 0.4  # how soft an edge is: without softness no pixel beside it has a gradient
_MAX_ELEMENTS = 2**22  # of pixels x strokes x segments that are looked at at once: some 16 MB each


@dataclass(frozen=True, kw_only=True)
class Strokes:
    """N strokes, the first one at the bottom."""

    points: Tensor  # (N, 4, 2): x to the right, y down, in units of the canvas
    widths: Tensor  # (N,), in units of the canvas
    colours: Tensor  # (N, 4): red, green, blue, opacity, from 0 to 1

    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return what an optimiser changes."""
        return self.points, self.widths, self.colours

    def finished(self) -> "Strokes":
        """Return a copy on the CPU, without gradients."""
        points, widths, colours = (tensor.detach().cpu().clone() for tensor in self.tensors())
        return Strokes(points=points, widths=widths, colours=colours)


def random_strokes(num_strokes: int, generator: torch.Generator) -> Strokes:
    """Return short strokes of random colours, each from a random place on."""

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    starts, steps = uniform(num_strokes, 1, 2), 0.2 * (uniform(num_strokes, 3, 2) - 0.5)
    points = torch.cat([starts, starts + steps.cumsum(dim=1)], dim=1) * CANVAS
    return Strokes(points=points, widths=torch.full((num_strokes,), 4.0), colours=uniform(num_strokes, 4))


def polylines(points: Tensor, num_segments: int = NUM_SEGMENTS) -> Tensor:
    """Return (N, num_segments + 1, 2): places on the curves of (N, 4, 2) control points."""
    t = torch.linspace(0, 1, num_segments + 1, device=points.device)
    bernstein = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]
    return torch.stack(bernstein, dim=1) @ points


def soft_pixels(strokes: Strokes, side_px: int) -> Tensor:
    """Return a picture (3, S, S) of the strokes on white, from 0 to 1.

    A stroke covers a pixel by how far the pixel's centre is from it: the stroke's profile, blurred by a
    logistic of BLUR_PX, so that also strokes thinner than a pixel have their share of ink. What is kept
    does not grow with strokes x pixels x segments: bands of strokes are computed anew for the gradient.
    """
    at = (torch.arange(side_px, device=strokes.points.device) + 0.5) * (CANVAS / side_px)
    y, x = torch.meshgrid(at, at, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).view(-1, 2)
    blur = BLUR_PX * CANVAS / side_px
    image = torch.ones(len(pixels), 3, device=pixels.device)
    for lines, widths, colours in _bands(strokes, len(pixels)):
        nearest = _nearest(lines, pixels)
        painted = checkpoint(
            _paint,
            *(image, pixels, lines, nearest, widths, colours, blur),
            use_reentrant=False,
            preserve_rng_state=False,
        )
        image = cast(Tensor, painted)
    return image.t().reshape(3, side_px, side_px)


def _bands(strokes: Strokes, num_pixels: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    size = max(1, _MAX_ELEMENTS // (num_pixels * NUM_SEGMENTS))
    lines = polylines(strokes.points)
    for start in range(0, len(lines), size):
        band = slice(start, start + size)
        yield lines[band], strokes.widths[band], strokes.colours[band]


@torch.no_grad()
def _nearest(lines: Tensor, pixels: Tensor) -> Tensor:
    """Return (N, P) of uint8: the segment that is nearest to a pixel. A minimum's gradient is that of its
    smallest alone, so this needs none.
    """
    return _distances(lines[:, None, :-1], lines[:, None, 1:], pixels[:, None]).argmin(dim=-1).byte()


def _paint(
    image: Tensor,
    pixels: Tensor,
    lines: Tensor,
    nearest: Tensor,
    widths: Tensor,
    colours: Tensor,
    blur: float,
) -> Tensor:
    """Return the picture (P, 3) with strokes over it."""
    index = nearest.long()[..., None].expand(-1, -1, 2)
    # gather, not lines[...]: the order in which its gradients are added up does not depend on threads.
    starts, ends = lines[:, :-1].gather(1, index), lines[:, 1:].gather(1, index)
    distances = _distances(starts, ends, pixels)
    halves = widths[:, None] / 2
    inside = ((distances + halves) / blur).sigmoid() - ((distances - halves) / blur).sigmoid()
    for alpha, colour in zip(inside * colours[:, 3:], colours[:, :3], strict=True):
        image = image + alpha[:, None] * (colour - image)
    return image


def _distances(starts: Tensor, ends: Tensor, pixels: Tensor) -> Tensor:
    """Return how far pixels (..., 2) are from segments (..., 2); finite gradients also at 0."""
    along = ends - starts
    from_start = pixels - starts
    share = (from_start * along).sum(dim=-1) / along.square().sum(dim=-1).clamp_min(1e-6)
    rest = from_start - share.clamp(0, 1)[..., None] * along
    return rest.square().sum(dim=-1).clamp_min(1e-6).sqrt()
