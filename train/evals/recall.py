"""At which rank each picture finds its captions and each caption its picture: numbers in, ranks out.

The N x M cosines are never there all at once: a tile of them is computed, counted and forgotten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

KS = (1, 5, 10)
# Cosines that differ by no more are equal: a float32 product of equal features may come out 1e-7 apart.
TIE = 1e-6
CHUNK_PICTURES, TILE_PICTURES, TILE_CAPTIONS = 4096, 512, 2048  # a tile fits into a core's cache

Features = NDArray[Any] | Tensor
"""(rows, embed_dim) of any length but of one kind of number; a memory-mapped file is read in parts."""


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """Ranks from 1, the best. Ties count against: a model that gives all the same features is last."""

    image_to_text: NDArray[np.int64]  # of each picture that has a caption: the best rank of its captions
    text_to_image: NDArray[np.int64]  # of each caption: that of its picture

    def recalls(self, ks: Sequence[int] = KS) -> dict[str, dict[str, float]]:
        """Return the share of ranks up to each k, and the median rank, for both directions."""
        return {"image_to_text": _recalls(self.image_to_text, ks)} | {
            "text_to_image": _recalls(self.text_to_image, ks)
        }


def ranks(
    image_features: Features,
    text_features: Features,
    image_of_text: NDArray[np.int64],
    device: torch.device | None = None,
) -> Ranks:
    """Return the ranks by cosine of N pictures and M captions; `image_of_text` (M,) names the pictures.

    A picture without captions is one more that a caption may be taken for. The other captions of a picture
    do not count against it. Memory grows with N + M. Raises ValueError for features that are no numbers or
    do not fit together.
    """
    device = device or torch.device("cpu")
    pictures, captions = _Units("picture", image_features, device), _Units("caption", text_features, device)
    _check(pictures, captions, image_of_text)
    of = torch.from_numpy(np.array(image_of_text, np.int64)).to(device)
    own = torch.empty(len(captions), device=device)
    for some in _slices(len(captions), TILE_CAPTIONS):
        # Into one tensor: small ones between large ones would keep the memory of those from use.
        own[some] = (pictures[of[some]] * captions[some]).sum(dim=-1)
    best = torch.full((len(pictures),), -torch.inf, device=device).scatter_reduce_(0, of, own, "amax")
    better_texts, better_images = torch.zeros_like(best, dtype=torch.int64), torch.zeros_like(of)
    for rows, columns, cosines in _tiles(pictures, captions):
        here = ((of[columns] >= rows.start) & (of[columns] < rows.stop)).nonzero().flatten()
        cosines[of[columns][here] - rows.start, here] = -torch.inf  # what is its own is not against it
        better_images[columns] += (cosines >= own[columns] - TIE).sum(dim=0)
        better_texts[rows] += (cosines >= best[rows, None] - TIE).sum(dim=1)
    return Ranks(
        image_to_text=(better_texts[best > -torch.inf] + 1).cpu().numpy(),
        text_to_image=(better_images + 1).cpu().numpy(),
    )


class _Units:
    """Features of unit length in float32, some rows at a time."""

    def __init__(self, noun: str, features: Features, device: torch.device) -> None:
        self.noun, self.shape, self._features, self._device = noun, features.shape, features, device

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: slice | Tensor) -> Tensor:
        if isinstance(self._features, Tensor):
            found = self._features[rows].to(self._device, torch.float32)
        else:
            chosen = rows.cpu().numpy() if isinstance(rows, Tensor) else rows
            found = torch.from_numpy(np.array(self._features[chosen], np.float32)).to(self._device)
        return F.normalize(found, dim=-1)

    def check_finite(self) -> None:
        """Raise ValueError for a row with something else in it than numbers."""
        for rows in _slices(len(self), CHUNK_PICTURES):
            bad = (~self[rows].isfinite().all(dim=-1)).nonzero().flatten()
            if len(bad):
                raise ValueError(
                    f"the features of {self.noun} {rows.start + int(bad[0])} are nan or infinite, all must "
                    f"be finite. Next: look at the loss of the run, and at that {self.noun}"
                )


def _check(pictures: _Units, captions: _Units, image_of_text: NDArray[np.int64]) -> None:
    if not (len(pictures) and len(captions)):
        raise ValueError(
            f"{len(pictures)} pictures and {len(captions)} captions, must be 1 or more of each. "
            f"Next: pass other --data"
        )
    if pictures.shape[1:] != captions.shape[1:] or len(pictures.shape) != 2:
        raise ValueError(
            f"features of pictures are {tuple(pictures.shape)} and of captions {tuple(captions.shape)}, must "
            f"be as wide. Next: take both from one model"
        )
    if len(image_of_text) != len(captions):
        raise ValueError(
            f"image_of_text names {len(image_of_text)} pictures, must be one for each of {len(captions)} "
            f"captions. Next: pass the number of each caption's picture"
        )
    if image_of_text.min() < 0 or image_of_text.max() >= len(pictures):
        raise ValueError(
            f"image_of_text goes from {image_of_text.min()} to {image_of_text.max()}, must be in "
            f"[0, {len(pictures)}). Next: pass the number of each caption's picture"
        )
    pictures.check_finite()
    captions.check_finite()


def _tiles(pictures: _Units, captions: _Units) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield rows, columns and their cosines until all N x M were there once."""
    for rows in _slices(len(pictures), CHUNK_PICTURES):
        chunk = pictures[rows]
        for columns in _slices(len(captions), TILE_CAPTIONS):
            texts = captions[columns].t()
            for part in _slices(len(chunk), TILE_PICTURES):
                yield slice(rows.start + part.start, rows.start + part.stop), columns, chunk[part] @ texts


def _slices(number: int, size: int) -> list[slice]:
    return [slice(start, min(start + size, number)) for start in range(0, number, size)]


def _recalls(found: NDArray[np.int64], ks: Sequence[int]) -> dict[str, float]:
    recalls = {f"recall_at_{k}": float((found <= k).mean()) for k in ks}
    return recalls | {"median_rank": float(np.median(found))}
