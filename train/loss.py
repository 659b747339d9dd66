"""The contrastive losses, pure functions of features, exact whatever the number of processes.

The similarities of a batch are never there all at once: a tile of rows is computed, used and forgotten, and
computed again for the gradient, so that memory grows with batch x tile. Each process computes the rows of its
own pictures against the texts of all; what the others must know of them is two numbers a text (InfoNCE).
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from train.distributed import gather_rows, gather_stacked, num_processes, sum_over_processes
from train.parallel import Outputs

TILE_ROWS = 256


def clip_loss(
    image_features: Tensor, text_features: Tensor, logit_scale: Tensor, tile_rows: int = TILE_ROWS
) -> Tensor:
    """Return the mean of the two cross-entropies over the batch of all processes (CLIP, figure 3).

    Features are (n, embed_dim), not of unit length, row i of both from the same pair; `logit_scale` is the
    scalar that the cosines are multiplied with. Computed in float32 also under autocast. Every process gets
    the same value; its gradients are multiplied by the number of processes, because data-parallel training
    takes the mean over them.
    """
    image_features, text_features = _of_unit_length(image_features, text_features)
    loss: Tensor = _InfoNce.apply(  # type: ignore[no-untyped-call]  # torch publishes no types for it
        image_features, text_features, logit_scale.float(), tile_rows
    )
    return loss


def siglip_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor,
    logit_bias: Tensor,
    tile_rows: int = TILE_ROWS,
) -> Tensor:
    """Return the sigmoid loss: of all (picture, text) of the batch, summed, over the number of pairs (Zhai et
    al. 2023, algorithm 1). Features, processes and gradients as for `clip_loss`.
    """
    image_features, text_features = _of_unit_length(image_features, text_features)
    loss: Tensor = _Sigmoid.apply(  # type: ignore[no-untyped-call]  # as above
        image_features, text_features, logit_scale.float(), logit_bias.float(), tile_rows
    )
    return loss


def _infonce(outputs: Outputs) -> Tensor:
    return clip_loss(outputs.image_features, outputs.text_features, outputs.logit_scale)


def _siglip(outputs: Outputs) -> Tensor:
    assert outputs.logit_bias is not None
    features = outputs.image_features, outputs.text_features
    return siglip_loss(*features, outputs.logit_scale, outputs.logit_bias)


# What `TrainConfig.loss` names.
LOSSES: dict[str, Callable[[Outputs], Tensor]] = {"infonce": _infonce, "siglip": _siglip}


def _of_unit_length(image_features: Tensor, text_features: Tensor) -> tuple[Tensor, Tensor]:
    with torch.autocast(image_features.device.type, enabled=False):
        return F.normalize(image_features.float(), dim=-1), F.normalize(text_features.float(), dim=-1)


def _tiles(num_rows: int, tile_rows: int) -> list[slice]:
    return [slice(start, min(start + tile_rows, num_rows)) for start in range(0, num_rows, tile_rows)]


class _InfoNce(torch.autograd.Function):
    """(mean of -log softmax over rows + mean of the same over columns) / 2, of unit features."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, text: Tensor, scale: Tensor, tile_rows: int) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            texts, first = gather_rows(text)
            of_rows = image.new_empty(len(image))
            of_columns = image.new_full((len(texts),), -torch.inf)
            for rows in _tiles(len(image), tile_rows):
                logits = scale * image[rows] @ texts.t()
                of_rows[rows] = logits.logsumexp(dim=1)
                of_columns = torch.logaddexp(of_columns, logits.logsumexp(dim=0))
            of_columns = gather_stacked(of_columns).logsumexp(dim=0)
            own = of_columns[first : first + len(image)]
            matching = scale * (image * text).sum(dim=1)
            loss = sum_over_processes((of_rows + own - 2 * matching).sum()) / (2 * len(texts))
        ctx.save_for_backward(image, texts, scale, of_rows, of_columns)
        ctx.first, ctx.tile_rows = first, tile_rows
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, texts, scale, of_rows, of_columns = ctx.saved_tensors
        gradients = _Gradients(image, texts, scale, ctx.first)
        for rows in _tiles(len(image), ctx.tile_rows):
            logits = gradients.logits(rows)
            of_logits = (logits - of_rows[rows, None]).exp_().add_((logits - of_columns).exp_())
            gradients.matching(of_logits, rows).sub_(2)
            gradients.add(rows, logits, of_logits)
        return (*gradients.result(grad / (2 * len(texts))), None)


class _Sigmoid(torch.autograd.Function):
    """-sum of log sigmoid(+-logits) / number of pairs, of unit features."""

    @staticmethod
    def forward(ctx: Any, image: Tensor, text: Tensor, scale: Tensor, bias: Tensor, tile_rows: int) -> Tensor:
        with torch.autocast(image.device.type, enabled=False):
            texts, first = gather_rows(text)
            loss = image.new_zeros(())
            for rows in _tiles(len(image), tile_rows):
                logits = scale * image[rows] @ texts.t() + bias
                loss += F.softplus(logits).sum()  # -log sigmoid(-x); that of x is less by x
            matching = scale * (image * text).sum(dim=1) + bias
            loss = sum_over_processes(loss - matching.sum()) / len(texts)
        ctx.save_for_backward(image, texts, scale, bias)
        ctx.first, ctx.tile_rows = first, tile_rows
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        image, texts, scale, bias = ctx.saved_tensors
        gradients, of_bias = _Gradients(image, texts, scale, ctx.first), image.new_zeros(())
        for rows in _tiles(len(image), ctx.tile_rows):
            logits = gradients.logits(rows)
            of_logits = torch.sigmoid(logits + bias)
            gradients.matching(of_logits, rows).sub_(1)
            gradients.add(rows, logits, of_logits)
            of_bias += of_logits.sum()
        factor = grad / len(texts)
        return (*gradients.result(factor), of_bias * factor * num_processes(), None)


class _Gradients:
    """What the tiles of d loss / d logits add up to, for the features and the scale."""

    def __init__(self, image: Tensor, texts: Tensor, scale: Tensor, first: int) -> None:
        self._image, self._texts, self._scale, self._first = image, texts, scale, first
        self._of_image, self._of_texts = torch.empty_like(image), torch.zeros_like(texts)
        self._of_scale = torch.zeros_like(scale)

    def logits(self, rows: slice) -> Tensor:
        """Return scale x cosine for some pictures and all texts."""
        return self._scale * self._image[rows] @ self._texts.t()

    def matching(self, tile: Tensor, rows: slice) -> Tensor:
        """Return the entries of a tile at the pictures' own texts, to be changed in place."""
        return tile.diagonal(self._first + rows.start)

    def add(self, rows: slice, logits: Tensor, of_logits: Tensor) -> None:
        """Take a tile in."""
        self._of_image[rows] = of_logits @ self._texts
        self._of_texts.addmm_(of_logits.t(), self._image[rows])
        self._of_scale += (of_logits * logits).sum() / self._scale

    def result(self, factor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of this process's pictures and texts and of the scale, times the factor and
        the number of processes."""
        factor = factor * num_processes()
        own = slice(self._first, self._first + len(self._image))
        of_text = sum_over_processes(self._of_texts)[own]
        by = self._scale * factor
        return self._of_image * by, of_text * by, self._of_scale * factor
