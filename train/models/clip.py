"""CLIP: two towers and a temperature (CLIP, sec. 2.3 to 2.5), and the config of its ViT family."""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.config import ModelConfig
from train.models.text import TextTower
from train.models.vit import VisionTransformer


class Clip(TextTower):
    """A text tower and an image tower `visual` that embed into one space.

    It is a text tower rather than having one, because OpenAI's checkpoints hold the text tower's parameters
    at the top level, without a prefix.
    """

    def __init__(
        self,
        visual: nn.Module,
        *,
        vocab_size: int,
        context_length: int,
        width: int,
        num_layers: int,
        num_heads: int,
        embed_dim: int,
    ) -> None:
        super().__init__(
            vocab_size=vocab_size,
            context_length=context_length,
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            embed_dim=embed_dim,
        )
        self.visual = visual
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, image: Tensor) -> Tensor:
        """Return image features (B, embed_dim), not of unit length, of pictures (B, 3, S, S)."""
        features: Tensor = self.visual(image)
        return features

    def encode_image_twice(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `encode_image` does, and the features (B, width) before the projection.

        A residual network's projection is the last of its attention pooling: both are the same there.
        """
        if not isinstance(self.visual, VisionTransformer):
            features = self.encode_image(image)
            return features, features
        hidden = self.visual.hidden(image)
        return hidden @ self.visual.proj, hidden

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits_per_image (num_images, num_texts) and its transpose, logits_per_text."""
        image_features = F.normalize(self.encode_image(image).float(), dim=-1)
        text_features = F.normalize(self.encode_text(text).float(), dim=-1)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.t()
        return logits_per_image, logits_per_image.t()


def require_multiples(*sizes: tuple[str, int, int]) -> None:
    """Raise ValueError for the first (field, whole, part) whose whole is no positive multiple of its part."""
    for name, whole, part in sizes:
        if part <= 0 or whole <= 0 or whole % part:
            raise ValueError(f"model.{name} is {whole}, must be a multiple of {part}. Next: change either")


def require_room_for_a_word(context_length: int) -> None:
    """Raise ValueError where a caption could not hold a word between its start and its end."""
    if context_length < 3:
        raise ValueError(
            f"model.context_length is {context_length}, must be at least 3: start, word, end. Next: raise it"
        )


@dataclass(frozen=True, kw_only=True)
class ClipVit(ModelConfig):
    """CLIP with a vision transformer. Heads are 64 wide in the paper (`head_width`), in both towers."""

    patch_side_px: int
    embed_dim: int
    vision_width: int
    vision_num_layers: int
    text_width: int
    text_num_layers: int
    head_width: int = 64

    def __post_init__(self) -> None:
        require_multiples(
            ("image_side_px", self.image_side_px, self.patch_side_px),
            ("vision_width", self.vision_width, self.head_width),
            ("text_width", self.text_width, self.head_width),
        )
        require_room_for_a_word(self.context_length)

    @classmethod
    def tiny(cls) -> Self:
        """Return one layer of 16 in each tower, for pictures of 16 pixels."""
        return cls(
            image_side_px=16,
            patch_side_px=8,
            context_length=16,
            embed_dim=16,
            vision_width=16,
            vision_num_layers=1,
            text_width=16,
            text_num_layers=1,
            head_width=8,
        )

    def build(self, vocab_size: int) -> Clip:
        """Return the model on torch's default device."""
        visual = VisionTransformer(
            image_side_px=self.image_side_px,
            patch_side_px=self.patch_side_px,
            width=self.vision_width,
            num_layers=self.vision_num_layers,
            num_heads=self.vision_width // self.head_width,
            embed_dim=self.embed_dim,
        )
        return Clip(
            visual,
            vocab_size=vocab_size,
            context_length=self.context_length,
            width=self.text_width,
            num_layers=self.text_num_layers,
            num_heads=self.text_width // self.head_width,
            embed_dim=self.embed_dim,
        )
