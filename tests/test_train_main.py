import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tests.fakes import make_dataset
from tests.test_train_zero_shot import make_folders
from tests.tiny_train import tiny_flags
from train.__main__ import main
from train.evals import EVALS
from train.launch import LAUNCHERS
from train.launch.local import Local
from train.models import MODELS
from train.recipes import RECIPES

FIT = ["fit", "demo", "--data", "d", "--run", "r"]


def test_fit_then_eval_leaves_a_result_and_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    assert main(["fit", *tiny_flags(data, run, num_epochs=2)]) == 0
    pictures = make_folders(tmp_path / "pictures")
    assert main(["eval", "--run", str(run), "--data", str(pictures), "--name", "colours"]) == 0
    line = capsys.readouterr().out.splitlines()[-1]
    assert line.startswith("colours: top-1 ")
    assert line.endswith(f"24 pictures in 8 classes; report: {run / 'report.html'}")
    assert json.loads((run / "evals" / "zero_shot-colours.json").read_text())["step"] == 4
    assert (run / "report.html").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "unknown command 'train', known: fit, plan, eval, score, search, draw, submit"),
        (["fit"], f"no recipe, known: {', '.join(RECIPES)}"),
        (["fit", "vit"], "unknown 'vit' as recipe"),
        (["fit", "demo", "--data", "nowhere", "--run", "r"], "nowhere holds no manifest.json"),
        (["eval", "--run", "nowhere", "--data", "d", "--name", "n"], "nowhere holds no checkpoint"),
        (["submit", "local"], "nothing to submit"),
        (["fit", "demo"], "missing --data [PLACE [PLACE ...]], --run PATH. Next: python -m train fit demo"),
        ([*FIT, "--optim.lr", "1"], "unknown flag --optim.lr, perhaps --optim.peak-lr. Next: "),
        ([*FIT, "--seed", "x"], "--seed INT: invalid literal for int() with base 10: 'x'. Next: "),
        ([*FIT, "--loss", "l2"], "--loss takes infonce, siglip, not 'l2'. Next: "),
        ([*FIT, "--data.batch-size", "1"], "data.batch_size is 1, must be at least 2"),
        (["jobs", "stop", "--run", "r"], "what takes list, status, logs, cancel, not 'stop'. Next: "),
        (
            ["search", "query", "i", "--imag", "x"],
            "unknown flag --imag, perhaps --image. Next: ",
        ),
    ],
)
def test_a_wrong_request_is_one_line_and_exits_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert "Next: " in error
    assert error.count("\n") == 1


def test_every_help_shows_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    pages = [["fit", name] for name in RECIPES] + [["eval", name] for name in EVALS]
    for page in pages + [["submit", name] for name in LAUNCHERS]:
        with pytest.raises(SystemExit) as exit_:
            main([*page, "--help"])
        assert exit_.value.code == 0
        assert f"python -m train {' '.join(page)} " in capsys.readouterr().out
    assert main(["--help"]) == 0
    assert "python -m train fit demo --data" in capsys.readouterr().out


def test_no_evaluation_is_imported_before_it_is_asked_for() -> None:
    modules = [f"train.evals.{name}" for name in EVALS]
    script = f"import sys, train.__main__; print([name for name in {modules} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_submit_local_runs_fit_and_returns_its_status(tmp_path: Path) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    assert main(["submit", "local", "--", *tiny_flags(data, run, num_epochs=1)]) == 0
    assert (run / "checkpoints" / "latest").read_text() == "step-00000002.pt\n"
    assert Local().submit(["no-recipe"]) == 2


def test_recipes_are_named_as_they_say_and_use_known_models() -> None:
    for name, recipe in RECIPES.items():
        config = recipe()
        assert config.recipe == name
        assert type(config.model) in MODELS.values()
        assert len((recipe.__doc__ or "").split()) > 15
        assert fields(config.model)
