"""Evaluations while a run goes on: what they say, and that the run learns the same with them."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import published_trees
from tests.fakes import COLOURS, make_dataset, make_picture
from tests.processes import run_together
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.checkpoint import load_checkpoint
from train.config import EvalsConfig, SpeedConfig, TrainConfig
from train.evals import features
from train.evals.zero_shot import ZeroShot
from train.loop import fit
from train.report import write_run_report
from train.trained import load_trained

# Patches are left out by torch's random numbers, which an evaluation must not touch.
CONFIG = tiny_config(
    ema_decay=0.5,
    num_checkpoints_kept=9,
    checkpoint_every_steps=1,
    speed=SpeedConfig(patch_dropout=0.5),
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset, pictures of eight colours, and two runs: without and with evaluations."""
    root = tmp_path_factory.mktemp("evaluated")
    make_dataset(root / "data")
    for number in range(3 * len(COLOURS)):
        folder = root / "pictures" / COLOURS[number % len(COLOURS)]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(make_picture(number))
    (root / "pictures" / COLOURS[0] / "broken.jpg").write_bytes(b"no picture")
    fit(CONFIG, root / "data", root / "plain")
    fit(with_evals(root), root / "data", root / "evaluated")
    return root


def with_evals(root: Path, **changes: Any) -> TrainConfig:
    evals = EvalsConfig(zero_shot=(f"colours={root / 'pictures'}",), retrieval=(f"pairs={root / 'data'}",))
    return replace(CONFIG, evals=replace(evals, **changes))


def lines(run: Path, *, evaluated: bool) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in found if ("loss" not in line) == evaluated]


def test_a_run_learns_the_same_with_evaluations_as_without(root: Path) -> None:
    plain, evaluated = load_checkpoint(root / "plain"), load_checkpoint(root / "evaluated")
    assert plain is not None
    assert evaluated is not None
    for name in ("model", "ema", "rng_state"):
        torch.testing.assert_close(vars(evaluated)[name], vars(plain)[name], rtol=0, atol=0)
    learnt = [lines(root / name, evaluated=False) for name in ("plain", "evaluated")]
    assert learnt[0] == learnt[1]


def test_it_is_evaluated_before_the_first_step_at_epochs_ends_and_last(root: Path) -> None:
    found = lines(root / "evaluated", evaluated=True)
    assert [line["step"] for line in found] == [0, 2, 4, 6]
    names = {"zero_shot/colours/top1", "zero_shot/colours/top5_averaged"}
    assert names | {"retrieval/pairs/text_to_image/recall_at_1"} <= found[0].keys()
    assert found[0]["zero_shot/colours/top1"] == found[0]["zero_shot/colours/top1_averaged"]


@pytest.mark.parametrize(("weights", "end"), [("model", ""), ("averaged", "_averaged")])
def test_it_says_what_an_evaluation_of_the_checkpoint_says(root: Path, weights: Any, end: str) -> None:
    run = root / "evaluated"
    evaluation = ZeroShot(run=run, data=root / "pictures", name="colours")
    found = evaluation.evaluate(load_trained(run, weights))
    last = lines(run, evaluated=True)[-1]
    assert {name: last[f"zero_shot/colours/{name}{end}"] for name in ("top1", "top5")} == {
        name: found[name] for name in ("top1", "top5")
    }


@pytest.mark.parametrize("step", [0, 1, 2, 5])
def test_a_resumed_run_repeats_and_loses_no_evaluation(root: Path, tmp_path: Path, step: int) -> None:
    run = shutil.copytree(root / "evaluated", tmp_path / "run")
    (run / "checkpoints" / "latest").write_text(f"step-{step:08d}.pt\n")
    fit(with_evals(root), root / "data", run)
    assert (run / "metrics.jsonl").read_bytes() == (root / "evaluated" / "metrics.jsonl").read_bytes()


def fit_with_small_parts(config: TrainConfig, data: Path, run: Path) -> None:
    """Train; processes share the pictures of an evaluation by five, not by a thousand."""
    features.MAX_PART_PICTURES = 5
    fit(config, data, run)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_several_processes_find_exactly_what_one_does(root: Path, tmp_path: Path, parallel: Any) -> None:
    runs = [shutil.copytree(root / "plain", tmp_path / f"{number}") for number in (1, 2)]
    config = replace(with_evals(root), parallel=parallel)
    for number, run in enumerate(runs, start=1):
        run_together(number, fit_with_small_parts, config, root / "data", run)
    one, several = (lines(run, evaluated=True) for run in runs)
    assert one == several
    assert [line["step"] for line in one] == [6]


def test_a_dataset_of_the_paper_is_known_by_its_name(root: Path, tmp_path: Path) -> None:
    run = shutil.copytree(root / "plain", tmp_path / "run")
    published_trees.cifar10(tmp_path / "cifar10")
    evals = EvalsConfig(datasets=(f"cifar10={tmp_path / 'cifar10'}",))
    fit(replace(CONFIG, evals=evals), root / "data", run)
    (line,) = lines(run, evaluated=True)
    assert line.keys() == {"step"} | {
        f"zero_shot/cifar10/{name}{end}" for name in ("top1", "top5") for end in ("", "_averaged")
    }


def test_every_so_many_steps_is_another_choice(root: Path, tmp_path: Path) -> None:
    run = shutil.copytree(root / "plain", tmp_path / "run")
    (run / "checkpoints" / "latest").write_text("step-00000001.pt\n")
    fit(with_evals(root, every_steps=3), root / "data", run)
    assert [line["step"] for line in lines(run, evaluated=True)] == [3, 6]


def test_the_report_draws_what_was_found_on_the_way(root: Path) -> None:
    page = write_run_report(root / "evaluated").read_text()
    assert "colours (zero shot): share by step. top1 from " in page
    assert "pairs image to text (retrieval, averaged weights): share by step. recall at 1 from " in page


@pytest.mark.parametrize(
    ("evals", "says"),
    [
        ({"zero_shot": ("pictures",)}, "evals.zero_shot is pictures, must be NAME=PLACE, each name once"),
        ({"retrieval": ("a=x", "a=y")}, "evals.retrieval is a=x a=y, must be NAME=PLACE, each name once"),
        ({"zero_shot": ("a=x",), "datasets": ("a=y",)}, "must be NAME=PLACE, each name once"),
        ({"every_steps": 0}, "evals.every_steps is 0, must be at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused(evals: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        EvalsConfig(**evals)


def test_data_that_are_not_there_are_named_before_the_run_begins(root: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, evals=EvalsConfig(zero_shot=("cats=nowhere",)))
    with pytest.raises(ValueError, match=r"evals.zero_shot cats: there is nothing at nowhere. Next"):
        fit(config, root / "data", tmp_path / "run")


@pytest.mark.parametrize(("weights", "end"), [("model", ""), ("averaged", "_averaged")])
def test_the_command_evaluates_either_weights(root: Path, weights: str, end: str) -> None:
    run = root / "evaluated"
    flags = ["--run", str(run), "--data", str(root / "pictures"), "--name", weights, "--weights", weights]
    assert main(["eval", "zero_shot", *flags]) == 0
    found = json.loads((run / "evals" / f"zero_shot-{weights}.json").read_text())
    assert found["weights"] == weights
    assert found["top5"] == lines(run, evaluated=True)[-1][f"zero_shot/colours/top5{end}"]


def test_averages_that_a_run_does_not_keep_cannot_be_evaluated(tmp_path: Path) -> None:
    run = fit(tiny_config(num_epochs=1), make_dataset(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(ValueError, match=r"keeps no averaged weights. Next: --weights model, or train with"):
        load_trained(run, "averaged")
