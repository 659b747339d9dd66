"""The image tower: a vision transformer with a norm before its blocks (CLIP, sec. 2.4)."""

import torch
from torch import Tensor, nn

from train.models.transformer import LayerNorm, Transformer


class VisionTransformer(nn.Module):
    """Pictures (B, 3, S, S), normalised, to features (B, embed_dim); S is the side that
    `positional_embedding` fits.
    """

    def __init__(
        self,
        *,
        image_side_px: int,
        patch_side_px: int,
        width: int,
        num_layers: int,
        num_heads: int,
        embed_dim: int,
    ) -> None:
        super().__init__()
        num_patches = (image_side_px // patch_side_px) ** 2
        scale = width**-0.5
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch_side_px, stride=patch_side_px, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(num_patches + 1, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(width, num_layers, num_heads, is_causal=False)
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, embed_dim))
        self.patch_dropout = 0.0  # share of the patches that training leaves out

    def forward(self, image: Tensor) -> Tensor:
        return self.hidden(image) @ self.proj  # (B, embed_dim)

    def hidden(self, image: Tensor) -> Tensor:
        """Return features (B, width) before the projection, what a linear probe takes (CLIP, app. A.3)."""
        x = self.conv1(image).flatten(2).transpose(1, 2)  # (B, W, S/P, S/P) -> (B, patches, W)
        class_token = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        x = torch.cat([class_token, x], dim=1) + self.positional_embedding  # (B, 1 + patches, W)
        if self.training and self.patch_dropout:
            x = keep_some(x, self.patch_dropout)  # (B, 1 + some patches, W)
        x = self.transformer(self.ln_pre(x))
        features: Tensor = self.ln_post(x[:, 0])
        return features


def set_patch_dropout(model: nn.Module, share: float) -> None:
    """Let the image tower of a model, if it is a ViT, leave out a share of the patches in training."""
    for part in model.modules():
        if isinstance(part, VisionTransformer):
            part.patch_dropout = share


def keep_some(x: Tensor, dropout: float) -> Tensor:
    """Return the first place of (B, L, W) and a random share 1 - dropout of the others, at least one,
    in their order; each picture keeps others (FLIP, Li et al. 2023).
    """
    num_patches = x.shape[1] - 1
    num_kept = max(1, round(num_patches * (1 - dropout)))
    # Drawn on the CPU, whose random numbers a checkpoint holds.
    drawn = torch.rand(len(x), num_patches).argsort(dim=1)[:, :num_kept].sort(dim=1).values
    places = torch.cat([torch.zeros(len(x), 1, dtype=torch.int64), 1 + drawn], dim=1)
    rows = torch.arange(len(x), device=x.device)[:, None]
    return x[rows, places.to(x.device, non_blocking=True)]
