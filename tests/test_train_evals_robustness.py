"""Effective robustness against what is slow and obvious, and the tables that are shipped."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.evals.datasets import DATASETS
from train.evals.published import published_rows, read_table
from train.evals.robustness import (
    REFERENCE,
    Accuracy,
    Robustness,
    effective_robustness,
    fit_line,
    logit,
    reference_models,
)
from train.loop import fit
from train.trained import TrainedModel, load_trained

SHIFTS = [
    "imagenet_a",
    "imagenet_r",
    "imagenet_sketch",
    "imagenet_vid",
    "imagenetv2",
    "objectnet",
    "youtube_bb",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    root = tmp_path_factory.mktemp("trained")
    return load_trained(fit(tiny_config(num_epochs=1), make_dataset(root / "data"), root / "run"))


def share(num_right: int, num: int) -> Accuracy:
    return Accuracy(num_right=(num_right,), num_pictures=(num,))


def write_result(run: Path, name: str, top1: float, num: int = 1000, step: int = 2) -> None:
    (run / "evals").mkdir(parents=True, exist_ok=True)
    result = {"top1": top1, "num_pictures": num, "step": step}
    (run / "evals" / f"zero_shot-{name}.json").write_text(json.dumps(result))


def test_the_line_is_numpys_through_the_logits() -> None:
    x = np.array([0.4, 0.5, 0.62, 0.8])
    y = np.array([0.1, 0.3, 0.33, 0.7])
    slope, intercept = np.polyfit(np.log(x / (1 - x)), np.log(y / (1 - y)), 1)
    line = fit_line(x, y)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept))
    z = slope * math.log(0.7 / 0.3) + intercept
    assert line.shifted(0.7) == pytest.approx(math.exp(z) / (1 + math.exp(z)))


def test_a_model_on_the_line_has_no_effective_robustness_and_one_above_it_has() -> None:
    models = reference_models(REFERENCE, "imagenetv2")
    line = fit_line(
        [float(row["standard_percent"]) / 100 for row in models],
        [float(row["shifted_percent"]) / 100 for row in models],
    )
    expected = float(line.shifted(0.7))
    on = effective_robustness(models, share(35_000, 50_000), share(round(10_000 * expected), 10_000))
    assert on["effective"] == pytest.approx(0, abs=1e-4)
    assert on["effective_interval"][0] < 0 < on["effective_interval"][1]
    above = effective_robustness(models, share(35_000, 50_000), share(round(10_000 * expected) + 500, 10_000))
    assert above["effective"] == pytest.approx(0.05, abs=1e-4)
    assert above["effective_interval"][0] > 0.03


def test_the_interval_is_that_of_drawing_pictures_and_models_one_by_one() -> None:
    models = reference_models(REFERENCE, "objectnet")
    fast = effective_robustness(models, share(700, 1000), share(400, 1000))["effective_interval"]
    random, slow = np.random.default_rng(5), []
    right, shifted_right = np.arange(1000) < 700, np.arange(1000) < 400
    for _ in range(1500):
        drawn = [models[number] for number in random.integers(0, len(models), len(models))]
        x, y = ([float(row[f"{side}_percent"]) / 100 for row in drawn] for side in ("standard", "shifted"))
        own = [float(random.choice(rights, 1000).mean()) for rights in (right, shifted_right)]
        slow.append(own[1] - float(fit_line(x, y).shifted(own[0])))
    assert fast == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.004)


def test_results_of_a_run_are_compared_shift_by_shift(trained: TrainedModel, tmp_path: Path) -> None:
    for name, top1 in [("imagenet", 0.7), ("v2", 0.62), ("vid", 0.95), ("pm0", 0.8), ("pm10", 0.6)]:
        write_result(tmp_path / "run", name, top1)
    write_result(tmp_path / "base", "v2", 0.5)
    write_result(tmp_path / "base", "pm0", 0.5)
    write_result(tmp_path / "base", "pm10", 0.5)
    pairs = ("imagenetv2=imagenet:v2", "imagenet_vid=vid:pm0+pm10")
    evaluation = Robustness(run=tmp_path / "run", name="n", pairs=pairs, baseline=tmp_path / "base")
    result = json.loads(json.dumps(evaluation.evaluate(trained)))
    assert result["shifts"]["imagenetv2"]["relative"] == pytest.approx(0.12)
    assert result["shifts"]["imagenet_vid"]["shifted"] == pytest.approx(0.7)
    effects = [shift["effective"] for shift in result["shifts"].values()]
    assert result["mean_effective"] == pytest.approx(np.mean(effects))
    assert f"imagenetv2 {100 * effects[0]:+.1f}" in evaluation.summary(result)


def test_what_cannot_be_compared_is_named(trained: TrainedModel, tmp_path: Path) -> None:
    write_result(tmp_path, "imagenet", 0.7)
    write_result(tmp_path, "old", 0.7, step=3)
    table = tmp_path / "table.csv"
    table.write_text("shift,model,standard_percent,shifted_percent,source\n" + "s,m,100,5,x\n" * 3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"pairs": ("imagenetv2",)}, "'imagenetv2' is no pair"),
        ({"pairs": ("snow=imagenet:v2",)}, "0 reference models for 'snow' .* known: imagenet_a, "),
        ({"pairs": ("imagenetv2=imagenet:v2",)}, "no result .*zero_shot-v2.json. Next: python -m train eval"),
        ({"pairs": ("imagenetv2=imagenet:old",)}, "is of step 3, the checkpoint of 2"),
        ({"pairs": ("s=imagenet:imagenet",), "reference": table}, "m on s is not between 0 and 100 %"),
        ({"pairs": ("s=a:b",), "reference": tmp_path / "none.csv"}, "no table at"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            Robustness(run=tmp_path, name="n", **changes).evaluate(trained)


def test_every_shift_of_the_paper_has_reference_models_that_lie_on_a_line() -> None:
    for shift in SHIFTS:
        models = reference_models(REFERENCE, shift)
        x, y = (logit([float(row[f"{s}_percent"]) / 100 for row in models]) for s in ("standard", "shifted"))
        assert np.corrcoef(x, y)[0, 1] ** 2 > 0.8
        assert all(row["source"] for row in models)


def test_published_figures_are_of_known_datasets_and_say_where_they_stand() -> None:
    path = REFERENCE.with_name("results.csv")
    rows = read_table(path)
    assert {row["dataset"] for row in rows} <= {*DATASETS, *SHIFTS}
    assert {row["evaluation"] for row in rows} == {"zero_shot", "probe"}
    assert all(0 < float(row["percent"]) < 100 and row["source"] for row in rows)
    keys = [
        tuple(row[name] for name in ("model", "training_data", "evaluation", "dataset", "source"))
        for row in rows
    ]
    assert len(set(keys)) == len(keys)
    (probe,) = published_rows("cifar10", "probe")
    assert (probe.model, probe.percent) == ("ViT-L/14", 98.0)
    compute = [row.train_exaflop for row in published_rows("imagenet", "zero_shot")]
    assert compute == sorted(compute)
    assert len(compute) > 10
