"""Position embeddings for another number of places: pictures of another resolution."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

# Of the ViT, and of the pooling of ResNets.
IMAGE_POSITIONS = ("visual.positional_embedding", "visual.attnpool.positional_embedding")


def resize_positions(embedding: Tensor, num_places: int) -> Tensor:
    """Return the embedding (1 + old side^2, W) for `num_places` = 1 + new side^2 places.

    The first, of no place in the picture, stays as it is; the others are a square of places, resized by
    cubic interpolation, smoothed where it shrinks (open_clip, `resize_pos_embed`).
    """
    if len(embedding) == num_places:
        return embedding
    old, new = math.isqrt(len(embedding) - 1), math.isqrt(num_places - 1)
    if 1 + old**2 != len(embedding):
        raise ValueError(f"{len(embedding)} positions are no square and one. Next: give another checkpoint")
    square = embedding[1:].view(1, old, old, -1).permute(0, 3, 1, 2)  # (1, W, old, old)
    resized = F.interpolate(square.float(), size=(new, new), mode="bicubic", antialias=True)
    places = resized[0].permute(1, 2, 0).flatten(0, 1).to(embedding.dtype)  # (new^2, W)
    return torch.cat([embedding[:1], places])
