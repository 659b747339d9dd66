"""Random views of a picture: what holds from all of them is no trick on single pixels (CLIPDraw, sec. 2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

DISTORTION = 0.5  # a corner moves inwards by up to this share of half the side
CROPS = (0.7, 0.9)  # of the area, a square
_CORNERS = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])


def random_views(image: Tensor, num_views: int, side_px: int, generator: torch.Generator) -> Tensor:
    """Return (num_views, 3, side_px, side_px) of a picture (3, S, S), each in a perspective and cut out of
    its own; white where there is no picture. `generator` is one of the CPU.
    """
    grids = torch.stack([_random_grid(side_px, generator) for _ in range(num_views)]).to(image.device)
    ink = (1 - image).expand(num_views, -1, -1, -1)  # where there is none, grid_sample takes 0
    return 1 - F.grid_sample(ink, grids, align_corners=False)


def _random_grid(side_px: int, generator: torch.Generator) -> Tensor:
    """Return (side_px, side_px, 2): where each pixel of a view lies in the picture, from -1 to 1."""
    smallest, largest = CROPS
    half = (smallest + (largest - smallest) * torch.rand(1, generator=generator)).sqrt()
    middle = (2 * torch.rand(2, generator=generator) - 1) * (1 - half)
    at = (torch.arange(side_px) + 0.5) * (2 / side_px) - 1
    y, x = torch.meshgrid(at, at, indexing="ij")
    places = middle + half * torch.stack([x, y], dim=-1)
    moved = _CORNERS * (1 - DISTORTION * torch.rand(4, 2, generator=generator))
    return through(homography(moved, _CORNERS), places)


def homography(starts: Tensor, ends: Tensor) -> Tensor:
    """Return (3, 3): the perspective that takes four places (4, 2) to four others."""
    (x, y), (u, v) = starts.double().t(), ends.double().t()
    one, none = torch.ones_like(x), torch.zeros_like(x)
    of_u = torch.stack([x, y, one, none, none, none, -u * x, -u * y], dim=1)
    of_v = torch.stack([none, none, none, x, y, one, -v * x, -v * y], dim=1)
    solved = torch.linalg.solve(torch.cat([of_u, of_v]), torch.cat([u, v]))
    return torch.cat([solved, torch.ones(1).double()]).view(3, 3)


def through(perspective: Tensor, places: Tensor) -> Tensor:
    """Return where a perspective takes places (..., 2)."""
    whole = torch.cat([places, torch.ones_like(places[..., :1])], dim=-1).double() @ perspective.t()
    return (whole[..., :2] / whole[..., 2:]).float()
