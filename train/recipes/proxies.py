"""Smaller runs that others have published, to compare with: what they measured is zero-shot top-1 on
ImageNet, and nothing of it was measured here. H200-hours are computed as in `train.recipes.paper`.

open_clip's training crop (`RandomResizedCrop`, 90 to 100 % of the area) is not ours: ours is square, with a
side of 95 to 100 % of the shorter one.
"""

from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.models.paper import PAPER_MODELS


def cc3m() -> TrainConfig:
    """RN50 on the 3 million pairs of Conceptual Captions, open_clip's own sample command: batch 1,024, 30
    epochs. Others measured 18.5 to 19 % on ImageNet, on 8 GPUs (open_clip, issue 448); not measured here.
    53 GFLOP a sample, 90 million samples: 3.3 H200-hours, computed.
    """
    return _resnet("cc3m", peak_lr=1e-3, num_epochs=30)


def cc12m() -> TrainConfig:
    """RN50 on the 12 million pairs of Conceptual 12M, 32 epochs. open_clip reports 36.45 % on ImageNet
    (docs/PRETRAINED.md), without the settings: these are those of `yfcc15m`; not measured here. 53 GFLOP a
    sample: 14 H200-hours, computed.
    """
    return _resnet("cc12m", peak_lr=5e-4, num_epochs=32)


def yfcc15m() -> TrainConfig:
    """RN50 on the 15 million pairs of YFCC that OpenAI listed: batch 1,024, 32 epochs. open_clip reports
    32.7 % on ImageNet with these settings on 8 GPUs (docs/PRETRAINED.md), the paper 31.3 %; not measured
    here. 53 GFLOP a sample, 480 million samples: 18 H200-hours, computed.
    """
    return _resnet("yfcc15m", peak_lr=5e-4, num_epochs=32)


def datacomp_small() -> TrainConfig:
    """DataComp's scale `small`: ViT-B/32, 12.8 million samples seen, batch 4,096 (its scale_configs.py).

    DataComp reports 2.5 % on ImageNet for the whole pool and 5.1 % for the best 30 % by CLIP score; not
    measured here. 44 GFLOP a sample: 0.4 H200-hours, computed; DataComp says 4 A100-hours. One epoch of the
    whole pool; of a share s of it pass --num-epochs 1/s, since the samples seen are fixed.
    """
    return _datacomp("datacomp_small")


def datacomp_medium() -> TrainConfig:
    """DataComp's scale `medium`: ViT-B/32, 128 million samples seen, batch 4,096 (its scale_configs.py).

    DataComp reports 17.6 % on ImageNet for the whole pool, 27.3 % for the best 30 % by CLIP score and 29.7 %
    for its best filter; not measured here. 44 GFLOP a sample: 4 H200-hours, computed; DataComp says 40
    A100-hours. One epoch of the whole pool; of a share s of it pass --num-epochs 1/s.
    """
    return _datacomp("datacomp_medium")


def _resnet(recipe: str, peak_lr: float, num_epochs: int) -> TrainConfig:
    return TrainConfig(
        recipe=recipe,
        model=PAPER_MODELS["RN50"],
        data=DataConfig(batch_size=1024, min_crop_share=0.95, num_decode_threads=16),
        optim=OptimConfig(peak_lr=peak_lr, num_warmup_steps=10_000, weight_decay=0.1, beta2=0.999, eps=1e-8),
        tokenizer=TokenizerConfig(kind="clip", vocab_size=49_408),
        num_epochs=num_epochs,
    )


def _datacomp(recipe: str) -> TrainConfig:
    return TrainConfig(
        recipe=recipe,
        model=PAPER_MODELS["ViT-B/32"],
        data=DataConfig(batch_size=4096, min_crop_share=0.95, num_decode_threads=16),
        optim=OptimConfig(peak_lr=5e-4, num_warmup_steps=500),
        tokenizer=TokenizerConfig(kind="clip", vocab_size=49_408),
        num_epochs=1,
    )
