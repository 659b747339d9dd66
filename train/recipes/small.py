"""Runs that need no GPU, and the smallest run of every model."""

from collections.abc import Callable

from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.models import MODELS
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet


def demo() -> TrainConfig:
    """The drawn pictures of `make demo`: a small ResNet, which learns shapes sooner than a ViT.

    Two CPU cores with bfloat16 (AVX-512 BF16): 6.3 CPU minutes where both were free, 8.7 where others used
    them. On 480 pictures that are not in the dataset, zero-shot top-1 of 79 to 86 % over 12 kinds of things
    (templates `counts`) and 99 % over 10 colours.
    """
    return TrainConfig(
        recipe="demo",
        model=ClipResNet(
            image_side_px=64,
            context_length=24,
            embed_dim=64,
            vision_width=16,
            vision_num_blocks=(1, 1, 1, 1),
            text_width=64,
            text_num_layers=1,
        ),
        data=DataConfig(batch_size=256, min_crop_share=0.6, flip=True),
        optim=OptimConfig(peak_lr=2e-3, num_warmup_steps=40, weight_decay=0.1),
        tokenizer=TokenizerConfig(vocab_size=1024),
        num_epochs=60,
        precision="bfloat16",
        log_every_steps=10,
        checkpoint_every_steps=200,
    )


def cifar10() -> TrainConfig:
    """CIFAR-10's 50,000 training pictures with captions such as "a photo of a ship.": a ViT of 64 patches.

    Two CPU cores with bfloat16 (AVX-512 BF16): 11.5 CPU minutes, 6 minutes where both are free; twice the CPU
    time in two threads where others use them. 69 % zero-shot top-1 on the 10,000 test pictures with the
    template "a photo of a {}."; after 3 epochs 60 %. The residual network of `cifar10_resnet` learns more in
    less.
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


def cifar10_resnet() -> TrainConfig:
    """The pairs of `cifar10`, by a residual network on pictures scaled to 64 pixels: the best on a CPU so far
    of those tried (docs/DECISIONS.md).

    One CPU core with bfloat16 (AVX-512 BF16), OMP_NUM_THREADS=1: 8.1 CPU minutes. 76.6 % zero-shot top-1 on
    the 10,000 test pictures with the template "a photo of a {}."; 72.7 % in 3.4 minutes with 4 epochs and
    crops of 0.7.
    """
    return TrainConfig(
        recipe="cifar10_resnet",
        model=ClipResNet(
            image_side_px=64,
            context_length=16,
            embed_dim=128,
            vision_width=16,
            vision_num_blocks=(2, 2, 2, 2),
            text_width=64,
            text_num_layers=1,
            head_width=32,
        ),
        data=DataConfig(batch_size=128, min_crop_share=0.6, flip=True),
        optim=OptimConfig(peak_lr=2e-3, num_warmup_steps=200, weight_decay=0.1),
        tokenizer=TokenizerConfig(vocab_size=512),
        num_epochs=8,
        precision="bfloat16",
        log_every_steps=20,
        checkpoint_every_steps=2000,
    )


def tiny(model: str) -> Callable[[], TrainConfig]:
    """Return the recipe that tries out a model of the table in seconds."""

    def recipe() -> TrainConfig:
        return TrainConfig(
            recipe=f"tiny_{model}",
            model=MODELS[model].tiny(),
            data=DataConfig(batch_size=16),
            optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=10),
            tokenizer=TokenizerConfig(vocab_size=1024),
            num_epochs=1,
        )

    recipe.__doc__ = (
        f"The smallest {model}, for one pass over a small dataset: seconds on any machine. "
        f"It shows that the model and the data work together, and learns next to nothing."
    )
    return recipe
