"""Evaluations by captions, end to end on a tiny model: datasets of the registry and the analyses."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fakes import COLOURS, make_dataset
from tests.published_trees import TREES
from tests.test_train_zero_shot import make_folders
from tests.tiny_train import TINY_MODEL, tiny_config
from train.__main__ import main
from train.evals.bias import Bias
from train.evals.calibration import Calibration
from train.evals.captions import class_features, read_templates
from train.evals.compute import compute_of
from train.evals.intervals import wilson
from train.evals.templates import Templates
from train.evals.zero_shot import ZeroShot
from train.flops import SampleFlops
from train.loop import fit
from train.trained import TrainedModel, load_trained
from train.transforms import evaluation_pixels

CLASSES = sorted(COLOURS)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    return fit(tiny_config(), make_dataset(root / "data"), root / "run")


@pytest.fixture(scope="module")
def trained(run: Path) -> TrainedModel:
    return load_trained(run)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folders(tmp_path_factory.mktemp("pictures") / "by_colour")


def slow_logits(
    trained: TrainedModel, pictures: Path, captions: list[str]
) -> tuple[list[int], np.ndarray[Any, Any]]:
    """Return the label of each picture and its logits with captions, one picture at a time."""
    paths = [path for name in CLASSES for path in sorted((pictures / name).iterdir())]
    texts = torch.cat([trained.text_features([caption]) for caption in captions])
    rows = [
        trained.image_features([evaluation_pixels(path.read_bytes(), 16)])[0] @ texts.t() for path in paths
    ]
    labels = [CLASSES.index(path.parent.name) for path in paths]
    return labels, (trained.logit_scale() * torch.stack(rows)).numpy()


def test_a_class_with_synonyms_is_the_mean_of_all_their_prompts(trained: TrainedModel) -> None:
    both = class_features(trained, [("red", "green"), "blue"], ["a {}", "the {}"])
    prompts = ["a red", "a green", "the red", "the green"]
    mean = torch.stack([trained.text_features([prompt])[0] for prompt in prompts]).mean(dim=0)
    assert torch.allclose(both[0], mean / mean.norm(), atol=1e-6)
    assert torch.allclose(both[1], class_features(trained, ["blue"], ["a {}", "the {}"])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("cifar10", "accuracy"),
        ("flowers102", "mean_per_class"),
        ("voc2007", "map_11_points"),
        ("hateful_memes", "roc_auc"),
    ],
)
def test_a_dataset_is_measured_by_its_own_metric(
    name: str, metric: str, run: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    TREES[name](tmp_path)
    evaluation = ZeroShot(run=run, data=tmp_path, name=name, dataset=name)
    result = json.loads(json.dumps(evaluation.evaluate(trained)))
    assert result["metric"] == metric
    assert result["interval"][0] <= result["value"] <= result["interval"][1]
    assert metric.replace("_", " ") in evaluation.summary(result) or "top-1" in evaluation.summary(result)
    assert all(row["dataset"] == name and row["source"] for row in result["published"])
    assert ("the test set has no labels" in result["note"]) == (name == "hateful_memes")
    if metric == "accuracy":
        assert result["interval"] == list(wilson(round(3 * result["top1"]), 3)) == result["top1_interval"]


def test_the_compute_of_a_run_is_that_of_the_pairs_it_saw(run: Path, tmp_path: Path) -> None:
    found = compute_of(run, step=6)
    assert found is not None
    assert found["billion_pairs_seen"] == 6 * 4 / 1e9
    per_pair = found["train_exaflop"] * 1e18 / 24
    assert per_pair == 3 * (
        SampleFlops(TINY_MODEL).image + SampleFlops(TINY_MODEL).text(TINY_MODEL.context_length)
    )
    assert compute_of(tmp_path, step=6) is None  # an imported model
    config = json.loads((run / "config.json").read_text()) | {"init": "others.pt"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert compute_of(tmp_path, step=6) is None


def test_folds_are_averaged(run: Path, trained: TrainedModel, tmp_path: Path) -> None:
    pytest.importorskip("av")
    TREES["ucf101"](tmp_path)
    evaluation = ZeroShot(run=run, data=tmp_path, name="u", dataset="ucf101")
    result = evaluation.evaluate(trained)
    one_by_one = [replace(evaluation, fold=fold).evaluate(trained)["value"] for fold in (1, 2, 3)]
    assert result["values_of_folds"] == one_by_one
    assert result["value"] == pytest.approx(np.mean(one_by_one))
    assert result["num_pictures"] == 1 + 2 + 3


def test_classes_come_from_the_command_line(run: Path, pictures: Path, trained: TrainedModel) -> None:
    names = tuple(f"{name}|{name} thing" for name in CLASSES)
    evaluation = ZeroShot(run=run, data=pictures, name="n", class_names=names)
    result = evaluation.evaluate(trained)
    assert result["class_names"] == CLASSES
    texts = class_features(trained, [tuple(name.split("|")) for name in names], ["a photo of a {}."])
    paths = [path for name in CLASSES for path in sorted((pictures / name).iterdir())]
    images = [trained.image_features([evaluation_pixels(path.read_bytes(), 16)])[0] for path in paths]
    right = [
        CLASSES[int((image @ texts.t()).argmax())] == path.parent.name
        for image, path in zip(images, paths, strict=True)
    ]
    assert result["top1"] == np.mean(right)
    with pytest.raises(ValueError, match="2 class names for 8 classes"):
        replace(evaluation, class_names=("a", "b")).evaluate(trained)


def test_a_dataset_takes_names_from_a_file(run: Path, tmp_path: Path) -> None:
    TREES["mnist"](tmp_path)
    digits = [f"digit {number}|{number}" for number in range(10)]
    (tmp_path / "names.json").write_text(json.dumps(digits))
    (tmp_path / "names.txt").write_text("\n".join(digits))
    for file in ("names.json", "names.txt"):
        evaluation = ZeroShot(run=run, data=tmp_path, name="n", dataset="mnist", classes=tmp_path / file)
        assert evaluation.opened().synonyms[3] == ("digit 3", "3")
    (tmp_path / "names.json").write_text('{"0": "zero"}')
    with pytest.raises(ValueError, match="is no JSON list of names"):
        replace(evaluation, classes=tmp_path / "names.json").opened()


def test_a_subset_of_classes_is_judged_among_themselves(
    run: Path, pictures: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    (tmp_path / "only.txt").write_text("red\nblue\ngreen\n")
    evaluation = ZeroShot(run=run, data=pictures, name="n", only_classes=tmp_path / "only.txt")
    result = evaluation.evaluate(trained)
    wanted = [CLASSES.index(name) for name in ("blue", "green", "red")]
    labels, logits = slow_logits(trained, pictures, [f"a photo of a {name}." for name in CLASSES])
    rows = [number for number, label in enumerate(labels) if label in wanted]
    right = [wanted[int(logits[row][wanted].argmax())] == labels[row] for row in rows]
    assert result["class_names"] == ["blue", "green", "red"]
    assert (result["num_pictures"], result["top1"]) == (len(rows), np.mean(right))
    (tmp_path / "only.txt").write_text("red\nbeige\n")
    with pytest.raises(ValueError, match=r"\['beige'\]: no subset of the classes"):
        evaluation.evaluate(trained)


def test_calibration_is_that_of_every_pictures_softmax(
    run: Path, pictures: Path, trained: TrainedModel
) -> None:
    evaluation = Calibration(run=run, data=pictures, name="n", num_bins=4)
    result = json.loads(json.dumps(evaluation.evaluate(trained)))
    labels, logits = slow_logits(trained, pictures, [f"a photo of a {name}." for name in CLASSES])
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = probabilities.argmax(axis=1) == labels
    assert result["mean_confidence"] == pytest.approx(probabilities.max(axis=1).mean(), abs=1e-5)
    assert result["top1"] == right.mean()
    assert sum(found["num_pictures"] for found in result["bins"]) == len(labels)
    assert result["calibration_error"] >= abs(right.mean() - probabilities.max(axis=1).mean()) - 1e-5
    assert "calibration error" in evaluation.summary(result)


def test_templates_are_chosen_and_can_be_used(
    run: Path, pictures: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    evaluation = Templates(run=run, data=pictures, name="n", templates="clip_7", num_templates=2)
    result = evaluation.evaluate(trained)
    each = {}
    for template in read_templates("clip_7"):
        labels, logits = slow_logits(trained, pictures, [template.replace("{}", name) for name in CLASSES])
        each[template] = (logits.argmax(axis=1) == labels).mean()
    assert result["top1_after_each"][0] == max(each.values())
    assert each[result["templates"][0]] == max(each.values())
    (tmp_path / "chosen.json").write_text(json.dumps(result))
    again = ZeroShot(run=run, data=pictures, name="n", templates=str(tmp_path / "chosen.json"))
    assert again.evaluate(trained)["top1"] == result["top1"]
    assert "with 2 of 7 templates" in evaluation.summary(result)


def test_bias_counts_whom_the_model_gives_which_label(
    run: Path, pictures: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    sets = {"warm": ["a red thing", "an orange thing"], "cold": ["a blue thing"]}
    (tmp_path / "labels.json").write_text(json.dumps(sets))
    evaluation = Bias(run=run, data=pictures, labels=tmp_path / "labels.json", name="n")
    result = json.loads(json.dumps(evaluation.evaluate(trained)))
    captions = [f"a photo of a {label}." for own in sets.values() for label in own]
    groups, logits = slow_logits(trained, pictures, captions)
    warm = logits.argmax(axis=1) < 2
    for number, group in enumerate(CLASSES):
        own = [bool(value) for value, label in zip(warm, groups, strict=True) if label == number]
        assert result["sets"]["warm"]["groups"][group]["share"] == pytest.approx(np.mean(own))
    assert "warm" in evaluation.summary(result)


@pytest.mark.parametrize(
    ("parameter", "said"), [("visual.proj", "image features"), ("text_projection", "text features")]
)
def test_a_model_of_nan_is_refused_in_one_line(parameter: str, said: str, run: Path, pictures: Path) -> None:
    broken = replace(load_trained(run), fingerprint=None)  # so that nothing of it is kept
    with torch.no_grad():
        broken.model.get_parameter(parameter).fill_(float("nan"))
    with pytest.raises(ValueError, match=f"{said}: .* rows hold NaN or infinity") as error:
        ZeroShot(run=run, data=pictures, name="n").evaluate(broken)
    assert "\n" not in str(error.value)


def test_label_sets_that_are_none_are_refused(
    run: Path, pictures: Path, trained: TrainedModel, tmp_path: Path
) -> None:
    path = tmp_path / "labels.json"
    evaluation = Bias(run=run, data=pictures, labels=path, name="n")
    for text, message in [
        ("[", "is no JSON"),
        ("[]", "needs two labels or more"),
        ('{"a": ["x"]}', "needs two labels or more"),
        ('{"a": "xy"}', "needs two labels or more"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            evaluation.evaluate(trained)


def test_every_evaluation_runs_from_the_command_line(
    run: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.json").write_text('{"a": ["red", "blue"]}')
    base = ["--run", str(run), "--data", str(pictures)]
    TREES["cifar10"](tmp_path / "cifar10")
    for arguments in [
        ["zero_shot", *base, "--name", "imagenet", "--class-names", *CLASSES],
        [
            "zero_shot",
            "--run",
            str(run),
            "--data",
            str(tmp_path / "cifar10"),
            "--dataset",
            "cifar10",
            "--name",
            "c",
        ],
        ["zero_shot", *base, "--name", "v2"],
        ["calibration", *base, "--name", "n"],
        ["templates", *base, "--name", "n", "--templates", "clip_7"],
        ["bias", *base, "--name", "n", "--labels", str(tmp_path / "labels.json")],
        ["robustness", "--run", str(run), "--name", "n", "--pairs", "imagenetv2=imagenet:v2"],
    ]:
        assert main(["eval", *arguments]) == 0
        assert (run / "evals" / f"{arguments[0]}-{arguments[arguments.index('--name') + 1]}.json").exists()
    assert main(["eval", "zero_shot", *base, "--name", "x", "--dataset", "nothing"]) == 2
    assert "unknown dataset 'nothing', known: birdsnap" in capsys.readouterr().err
