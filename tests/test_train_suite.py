"""Many evaluations by one command, and the figures of two runs side by side."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import make_dataset
from tests.test_train_zero_shot import make_folders
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.loop import fit
from train.report import write_run_report
from train.report_results import figures_of

SUITE = """
[[eval]]
kind = "zero_shot"
name = "colours"
data = "{root}/pictures"
class_names = {names}

[[eval]]
kind = "retrieval"
name = "pairs"
data = "{root}/data"
prompt_prefix = "a photo of"

[[eval]]
kind = "few_shot"
name = "colours"
data = "{root}/pictures"
test_data = "{root}/pictures"
shots = [1, 2]
num_seeds = 2

[[eval]]
kind = "overlap"
name = "colours"
data = "{root}/pictures"
training = ["{root}/data"]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    make_folders(root / "pictures", num_each=8)
    fit(tiny_config(), make_dataset(root / "data"), root / "run")
    names = [path.name.upper() for path in sorted((root / "pictures").iterdir())]
    (root / "suite.toml").write_text(SUITE.format(root=root, names=json.dumps(names)))
    return root


def test_all_evaluations_land_in_one_report(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "all", "--run", str(root / "run"), "--suite", str(root / "suite.toml")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert sorted(path.name for path in (root / "run" / "evals").glob("*.json")) == [
        "few_shot-colours.json",
        "overlap-colours.json",
        "retrieval-pairs.json",
        "zero_shot-colours.json",
    ]
    page = (root / "run" / "report.html").read_text()
    for title in ("Results", "Pictures per class", "Overlap with training", "Confusions"):
        assert title in page
    figures = json.loads((root / "run" / "evals.json").read_text())["figures"]
    assert {figure["kind"] for figure in figures} >= {"zero shot", "retrieval", "overlap"}
    assert (root / "run" / "evals.md").read_text().count("\n") == len(figures) + 2


def test_one_that_fails_ends_none_of_the_others(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = root / "broken.toml"
    wrong = f'[[eval]]\nkind = "retrieval"\nname = "gone"\ndata = "{root}/nowhere"\n'
    suite.write_text(wrong + SUITE.split('[[eval]]\nkind = "few_shot"')[0].format(root=root, names="[]"))
    assert main(["eval", "all", "--run", str(root / "run"), "--suite", str(suite)]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("failed: retrieval gone: ")
    assert said.err.count("\n") == 1
    assert "colours: top-1" in said.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("eval = 3", "holds no [[eval]]"),
        ("[[eval]]\nkind = 'zero'\nname = 'a'", "kind is 'zero' and name 'a', must be one of"),
        ("[[eval]", "is no TOML file"),
    ],
)
def test_a_suite_that_is_none_is_one_line(
    root: Path, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "wrong.toml").write_text(text)
    assert main(["eval", "all", "--run", str(root / "run"), "--suite", str(root / "wrong.toml")]) == 2
    assert message in capsys.readouterr().err


def test_an_earlier_runs_figures_stand_beside(root: Path, tmp_path: Path) -> None:
    run = root / "run"
    (tmp_path / "before" / "evals").mkdir(parents=True)
    result: dict[str, Any] = {
        "eval": "zero_shot",
        "name": "colours",
        "metric": "accuracy",
        "value": 0.75,
        "step": 1,
    }
    result["interval"] = [0.25, 0.9]
    (tmp_path / "before" / "evals" / "zero_shot-colours.json").write_text(json.dumps(result))
    (run / "evals").mkdir(exist_ok=True)
    (run / "evals" / "zero_shot-colours.json").write_text(json.dumps(result | {"value": 0.5}))
    write_run_report(run, tmp_path / "before")
    row = next(
        line for line in (run / "evals.md").read_text().splitlines() if line.startswith("| colours | zero")
    )
    assert row.endswith("| 0.5000 | 0.2500 to 0.9000 | 1 | 0.7500 | \N{MINUS SIGN}0.2500 |")
    assert "This run against before" in (run / "report.html").read_text()


def test_figures_of_other_measures_are_not_compared() -> None:
    ours = {"eval": "zero_shot", "name": "a", "metric": "accuracy", "value": 0.5}
    (figure,) = figures_of([ours], [ours | {"metric": "mean_per_class"}])
    assert figure.earlier is None
