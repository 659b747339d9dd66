"""The contrastive loss, a pure function of features."""

import torch
import torch.nn.functional as F
from torch import Tensor


def clip_loss(image_features: Tensor, text_features: Tensor, logit_scale: Tensor) -> Tensor:
    """Return the mean of the two cross-entropies over a batch of N pairs (CLIP, figure 3).

    Features are (N, embed_dim), not of unit length, row i of both from the same pair; `logit_scale` is the
    scalar that the cosines are multiplied with. Computed in float32 also under autocast.
    """
    with torch.autocast(image_features.device.type, enabled=False):
        image_features = F.normalize(image_features.float(), dim=-1)
        text_features = F.normalize(text_features.float(), dim=-1)
        logits_per_image = logit_scale.float() * image_features @ text_features.t()  # (N, N)
        labels = torch.arange(len(logits_per_image), device=logits_per_image.device)
        return (F.cross_entropy(logits_per_image, labels) + F.cross_entropy(logits_per_image.t(), labels)) / 2
