"""Whole training runs by name: each a function that returns a TrainConfig; any field of it can be changed
by a flag.
"""

from collections.abc import Callable

from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.models.clip import ClipVit


def demo() -> TrainConfig:
    """The drawn pictures of `make demo`. Two CPU cores, two minutes."""
    return TrainConfig(
        recipe="demo",
        model=ClipVit(
            image_side_px=64,
            patch_side_px=8,
            context_length=24,
            embed_dim=128,
            vision_width=192,
            vision_num_layers=4,
            text_width=128,
            text_num_layers=2,
            head_width=32,
        ),
        data=DataConfig(batch_size=128, min_crop_share=0.8),
        optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=40, weight_decay=0.1),
        tokenizer=TokenizerConfig(vocab_size=1024),
        num_epochs=30,
        precision="bfloat16",
        log_every_steps=5,
        checkpoint_every_steps=100,
    )


def cifar10() -> TrainConfig:
    """CIFAR-10's 50,000 training pictures with their classes as captions ("a photo of a ship.").

    A small ViT of 64 patches.
    """
    return TrainConfig(
        recipe="cifar10",
        model=ClipVit(
            image_side_px=32,
            patch_side_px=4,
            context_length=16,
            embed_dim=128,
            vision_width=128,
            vision_num_layers=4,
            text_width=64,
            text_num_layers=1,
            head_width=32,
        ),
        data=DataConfig(batch_size=128, min_crop_share=0.7, flip=True),
        optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=200, weight_decay=0.1),
        tokenizer=TokenizerConfig(vocab_size=512),
        num_epochs=8,
        precision="bfloat16",
        log_every_steps=20,
        checkpoint_every_steps=500,
    )


def vit_b_32() -> TrainConfig:
    """The paper's ViT-B/32."""
    return _paper("vit_b_32", patch_side_px=32, vision_width=768, num_layers=12, text_width=512, peak_lr=5e-4)


def vit_b_16() -> TrainConfig:
    """The paper's ViT-B/16."""
    return _paper("vit_b_16", patch_side_px=16, vision_width=768, num_layers=12, text_width=512, peak_lr=5e-4)


def vit_l_14() -> TrainConfig:
    """The paper's ViT-L/14."""
    return _paper(
        "vit_l_14", patch_side_px=14, vision_width=1024, num_layers=24, text_width=768, peak_lr=4e-4
    )


def _paper(
    name: str, *, patch_side_px: int, vision_width: int, num_layers: int, text_width: int, peak_lr: float
) -> TrainConfig:
    return TrainConfig(
        recipe=name,
        model=ClipVit(
            image_side_px=224,
            patch_side_px=patch_side_px,
            context_length=77,
            embed_dim=text_width,
            vision_width=vision_width,
            vision_num_layers=num_layers,
            text_width=text_width,
            text_num_layers=12,
        ),
        data=DataConfig(batch_size=32_768, num_decode_threads=16),
        optim=OptimConfig(peak_lr=peak_lr, num_warmup_steps=2000),
        tokenizer=TokenizerConfig(kind="clip", vocab_size=49_408),
        num_epochs=32,
    )


RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "demo": demo,
    "cifar10": cifar10,
    "vit_b_32": vit_b_32,
    "vit_b_16": vit_b_16,
    "vit_l_14": vit_l_14,
}
