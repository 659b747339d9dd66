"""The image tower as a residual network: ModifiedResNet (CLIP, sec. 2.4), and CLIP's config with it.

Against a plain ResNet: three convolutions for a stem, average pooling before every stride, and attention
for the last pooling. Parameters have OpenAI's names.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.config import ModelConfig
from train.models.clip import Clip, require_multiples, require_room_for_a_word


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions around a shortcut: (B, C, H, W) to (B, 4 x planes, H / stride, W /
    stride).
    """

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.avgpool = nn.AvgPool2d(stride)  # every convolution has stride 1: pooling does not alias
        self.conv3 = nn.Conv2d(planes, 4 * planes, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * planes)
        nn.init.zeros_(self.bn3.weight)  # a new block is its shortcut
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels != 4 * planes:
            # The odd names are those of OpenAI's checkpoints.
            self.downsample = nn.Sequential(
                OrderedDict[str, nn.Module](
                    [
                        ("-1", nn.AvgPool2d(stride)),
                        ("0", nn.Conv2d(channels, 4 * planes, 1, bias=False)),
                        ("1", nn.BatchNorm2d(4 * planes)),
                    ]
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.avgpool(F.relu(self.bn2(self.conv2(out))))
        return F.relu(self.bn3(self.conv3(out)) + self.downsample(x))


class AttentionPool(nn.Module):
    """(B, C, S, S) to (B, embed_dim): the mean of all places asks, the places answer."""

    def __init__(self, side: int, channels: int, num_heads: int, embed_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.positional_embedding = nn.Parameter(torch.randn(side**2 + 1, channels) / channels**0.5)
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, embed_dim)
        for part in (self.q_proj, self.k_proj, self.v_proj, self.c_proj):
            nn.init.normal_(part.weight, std=channels**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(2).transpose(1, 2)  # (B, S * S, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1) + self.positional_embedding.to(x.dtype)
        q, k, v = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)
        heads = [part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for part in (q, k, v)]
        mixed = F.scaled_dot_product_attention(*heads)  # (B, heads, 1, C / heads)
        features: Tensor = self.c_proj(mixed.transpose(1, 2).flatten(1))
        return features


class ModifiedResNet(nn.Module):
    """Pictures (B, 3, S, S), normalised, to features (B, embed_dim); S is a multiple of 32."""

    def __init__(
        self, *, image_side_px: int, width: int, num_blocks: tuple[int, ...], num_heads: int, embed_dim: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.layer1 = _layer(width, width, num_blocks[0], stride=1)
        self.layer2 = _layer(4 * width, 2 * width, num_blocks[1], stride=2)
        self.layer3 = _layer(8 * width, 4 * width, num_blocks[2], stride=2)
        self.layer4 = _layer(16 * width, 8 * width, num_blocks[3], stride=2)
        self.attnpool = AttentionPool(image_side_px // 32, 32 * width, num_heads, embed_dim)

    def forward(self, image: Tensor) -> Tensor:
        image = image.contiguous(memory_format=torch.channels_last)  # convolutions are twice as quick so
        x = F.relu(self.bn1(self.conv1(image)))  # (B, W / 2, S / 2, S / 2)
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool2d(F.relu(self.bn3(self.conv3(x))), 2)  # (B, W, S / 4, S / 4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))  # (B, 32 W, S / 32, S / 32)
        features: Tensor = self.attnpool(x)
        return features


def _layer(channels: int, planes: int, num_blocks: int, stride: int) -> nn.Sequential:
    first = Bottleneck(channels, planes, stride)
    return nn.Sequential(first, *(Bottleneck(4 * planes, planes, 1) for _ in range(num_blocks - 1)))


@dataclass(frozen=True, kw_only=True)
class ClipResNet(ModelConfig):
    """CLIP with a residual network for pictures. Heads are 64 wide in the paper, in the pooling and in the
    text tower.
    """

    embed_dim: int
    vision_width: int  # of the stem; the features before pooling are 32 times as wide
    vision_num_blocks: tuple[int, int, int, int]
    text_width: int
    text_num_layers: int
    head_width: int = 64

    def __post_init__(self) -> None:
        require_multiples(
            ("image_side_px", self.image_side_px, 32),
            ("32 x vision_width", 32 * self.vision_width, self.head_width),
            ("text_width", self.text_width, self.head_width),
        )
        require_room_for_a_word(self.context_length)

    @classmethod
    def tiny(cls) -> Self:
        """Return one block a stage and one text layer of 16, for pictures of 32 pixels."""
        return cls(
            image_side_px=32,
            context_length=16,
            embed_dim=16,
            vision_width=2,
            vision_num_blocks=(1, 1, 1, 1),
            text_width=16,
            text_num_layers=1,
            head_width=8,
        )

    def build(self, vocab_size: int) -> Clip:
        """Return the model on torch's default device."""
        visual = ModifiedResNet(
            image_side_px=self.image_side_px,
            width=self.vision_width,
            num_blocks=self.vision_num_blocks,
            num_heads=32 * self.vision_width // self.head_width,
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
