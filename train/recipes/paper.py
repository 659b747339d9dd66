"""The paper's nine models on 400 million pairs (CLIP, tables 18 to 20): 32 epochs of batches of 32,768.

None was trained here. Hours are computed: 12.8 billion samples at the operations that a sample costs
(forward and backward, captions of 77 tokens), on H200 GPUs at half of the 790 TFLOP/s in bfloat16 that one
was measured to reach; trimmed captions take less. Accuracies are the paper's, zero-shot top-1 on ImageNet
(table 11). One process does not hold a batch of 32,768: on few GPUs pass a smaller --data.batch-size, which
is another experiment than the paper's.
"""

from train.config import DataConfig, OptimConfig, TokenizerConfig, TrainConfig
from train.models.paper import PAPER_MODELS


def rn50() -> TrainConfig:
    """The paper's RN50: 59.6 % on ImageNet by the paper; not measured here. 53 GFLOP a sample: some 470
    H200-hours, computed.
    """
    return _resnet("rn50", "RN50", peak_lr=5e-4)


def rn101() -> TrainConfig:
    """The paper's RN101: 62.2 % on ImageNet by the paper; not measured here. 75 GFLOP a sample: some 670
    H200-hours, computed.
    """
    return _resnet("rn101", "RN101", peak_lr=5e-4)


def rn50x4() -> TrainConfig:
    """The paper's RN50x4, of 4 times the compute, on 288 px: 65.8 % on ImageNet by the paper; not measured
    here. 151 GFLOP a sample: some 1,360 H200-hours, computed.
    """
    return _resnet("rn50x4", "RN50x4", peak_lr=5e-4)


def rn50x16() -> TrainConfig:
    """The paper's RN50x16, of 16 times the compute, on 384 px: 70.5 % on ImageNet by the paper; not measured
    here. 477 GFLOP a sample: some 4,290 H200-hours, computed.
    """
    return _resnet("rn50x16", "RN50x16", peak_lr=4e-4)


def rn50x64() -> TrainConfig:
    """The paper's RN50x64, of 64 times the compute, on 448 px: 73.6 % on ImageNet by the paper, after 18 days
    on 592 V100 GPUs; not measured here. 1,631 GFLOP a sample: some 14,700 H200-hours, computed.
    """
    return _resnet("rn50x64", "RN50x64", peak_lr=3.6e-4)


def vit_b_32() -> TrainConfig:
    """The paper's ViT-B/32: 63.2 % on ImageNet by the paper; not measured here. 44 GFLOP a sample: some 400
    H200-hours, computed. open_clip reports 62.96 % on LAION-400M after 36 hours on 128 A100 GPUs.
    """
    return _vit("vit_b_32", "ViT-B/32", peak_lr=5e-4)


def vit_b_16() -> TrainConfig:
    """The paper's ViT-B/16: 68.6 % on ImageNet by the paper; not measured here. 123 GFLOP a sample: some
    1,110 H200-hours, computed. open_clip reports 67.07 % on LAION-400M after 61 hours on 176 A100 GPUs.
    """
    return _vit("vit_b_16", "ViT-B/16", peak_lr=5e-4)


def vit_l_14() -> TrainConfig:
    """The paper's ViT-L/14: 75.3 % on ImageNet by the paper, its largest ViT after 12 days on 256 V100 GPUs;
    not measured here. 526 GFLOP a sample: some 4,730 H200-hours, computed. open_clip reports 72.77 % on
    LAION-400M after 127 hours on 400 A100 GPUs.
    """
    return _vit("vit_l_14", "ViT-L/14", peak_lr=4e-4)


def vit_l_14_336() -> TrainConfig:
    """The paper's ViT-L/14@336px: one more epoch of a finished `vit_l_14` at 336 px, so pass it as --init:
    76.2 % on ImageNet by the paper; not measured here. 1,186 GFLOP a sample: some 330 H200-hours for the
    epoch, computed.
    """
    return _paper("vit_l_14_336", "ViT-L/14@336px", OptimConfig(peak_lr=2e-5, num_warmup_steps=2000), 1)


def _resnet(recipe: str, model: str, peak_lr: float) -> TrainConfig:
    return _paper(recipe, model, OptimConfig(peak_lr=peak_lr, num_warmup_steps=2000, beta2=0.999, eps=1e-8))


def _vit(recipe: str, model: str, peak_lr: float) -> TrainConfig:
    return _paper(recipe, model, OptimConfig(peak_lr=peak_lr, num_warmup_steps=2000))


def _paper(recipe: str, model: str, optim: OptimConfig, num_epochs: int = 32) -> TrainConfig:
    return TrainConfig(
        recipe=recipe,
        model=PAPER_MODELS[model],
        data=DataConfig(batch_size=32_768, num_decode_threads=16),
        optim=optim,
        tokenizer=TokenizerConfig(kind="clip", vocab_size=49_408),
        num_epochs=num_epochs,
    )
