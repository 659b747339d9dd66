import pytest

from tests.tiny_train import TINY_MODEL
from train.config import OptimConfig
from train.optim import build_optimizer, learning_rate

CONFIG = OptimConfig(peak_lr=1.0, num_warmup_steps=4)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.25), (3, 1.0), (4, 1.0), (8, 0.5), (11, 0.5 + 0.5 * -0.9238795325112867)],
)
def test_the_rate_rises_linearly_and_falls_as_a_cosine(step: int, rate: float) -> None:
    assert learning_rate(step, 12, CONFIG) == pytest.approx(rate)


def test_a_run_shorter_than_its_warm_up_reaches_the_peak_at_its_end() -> None:
    assert [learning_rate(step, 2, CONFIG) for step in range(2)] == [0.5, 1.0]


def test_gains_biases_and_the_temperature_do_not_decay() -> None:
    model = TINY_MODEL.build(vocab_size=300)
    decayed, spared = build_optimizer(model, CONFIG).param_groups
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert decayed["weight_decay"] == 0.2
    assert spared["weight_decay"] == 0.0
    assert all(
        name.endswith(("bias", "logit_scale", "class_embedding")) or ".ln_" in f".{name}"
        for name in (names[id(parameter)] for parameter in spared["params"])
    )
    assert not any(".ln_" in f".{names[id(p)]}" or names[id(p)].endswith("bias") for p in decayed["params"])
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
