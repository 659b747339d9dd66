"""The nine architectures of the paper, by the names that OpenAI gave their checkpoints (CLIP, tables 19 and
20). Text towers have 12 layers, heads are 64 wide, captions have at most 77 tokens.
"""

from train.config import ModelConfig
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet


def _resnet(
    side_px: int, width: int, num_blocks: tuple[int, int, int, int], embed_dim: int, text_width: int
) -> ClipResNet:
    return ClipResNet(
        image_side_px=side_px,
        context_length=77,
        embed_dim=embed_dim,
        vision_width=width,
        vision_num_blocks=num_blocks,
        text_width=text_width,
        text_num_layers=12,
    )


def _vit(side_px: int, patch_side_px: int, width: int, num_layers: int, text_width: int) -> ClipVit:
    return ClipVit(
        image_side_px=side_px,
        patch_side_px=patch_side_px,
        context_length=77,
        embed_dim=text_width,
        vision_width=width,
        vision_num_layers=num_layers,
        text_width=text_width,
        text_num_layers=12,
    )


PAPER_MODELS: dict[str, ModelConfig] = {
    "RN50": _resnet(224, 64, (3, 4, 6, 3), embed_dim=1024, text_width=512),
    "RN101": _resnet(224, 64, (3, 4, 23, 3), embed_dim=512, text_width=512),
    "RN50x4": _resnet(288, 80, (4, 6, 10, 6), embed_dim=640, text_width=640),
    "RN50x16": _resnet(384, 96, (6, 8, 18, 8), embed_dim=768, text_width=768),
    "RN50x64": _resnet(448, 128, (3, 15, 36, 10), embed_dim=1024, text_width=1024),
    "ViT-B/32": _vit(224, 32, 768, 12, text_width=512),
    "ViT-B/16": _vit(224, 16, 768, 12, text_width=512),
    "ViT-L/14": _vit(224, 14, 1024, 24, text_width=768),
    "ViT-L/14@336px": _vit(336, 14, 1024, 24, text_width=768),
}
