"""run.json: what a run was made of at each start."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import make_dataset
from tests.processes import run_together
from tests.tiny_train import tiny_config
from train.loop import fit
from train.report import write_run_report
from train.run_manifest import code, environment


def manifest(run: Path) -> dict[str, Any]:
    known: dict[str, Any] = json.loads((run / "run.json").read_text())
    return known


def test_a_run_says_what_it_was_made_of(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    run = fit(tiny_config(), data, tmp_path / "run")
    first, config = manifest(run)["first"], json.loads((run / "config.json").read_text())
    assert first["config"] | {"dataset": first["data"]["dataset"]} == config
    assert first["data"]["place"] == str(data)
    assert first["environment"]["packages"]["torch"] == torch.__version__
    assert list(first["processes"]) == ["0"]
    assert first["code"] == code()


def test_each_start_says_what_differed_from_the_one_before(tmp_path: Path) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    fit(tiny_config(num_checkpoints_kept=9), data, run)
    (run / "checkpoints" / "latest").write_text("step-00000002.pt\n")
    run_together(2, fit, tiny_config(checkpoint_every_steps=3), data, run)
    first, second = manifest(run)["starts"]
    assert (first["from_step"], first["changed"]) == (0, [])
    assert second["from_step"] == 2
    assert "config.checkpoint_every_steps: 2, now 3" in second["changed"]
    assert any(line.startswith("processes.1: None, now {'host'") for line in second["changed"])
    assert "Starts of the run" in write_run_report(run).read_text()


def test_of_the_variables_only_those_that_matter_are_kept_and_no_secret() -> None:
    given = {
        "OMP_NUM_THREADS": "1",
        "NCCL_DEBUG": "INFO",
        "AWS_SECRET_ACCESS_KEY": "x",
        "TORCH_HUB_TOKEN": "x",
        "HOME": "/",
        "RANK": "1",
    }
    assert environment(given)["variables"] == {"NCCL_DEBUG": "INFO", "OMP_NUM_THREADS": "1"}


@pytest.mark.skipif(not (Path(__file__).parent.parent / ".git").exists(), reason="no git work tree")
def test_the_commit_is_that_of_the_work_tree() -> None:
    root = Path(__file__).parent.parent
    asked = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
    assert code()["commit"] == asked.stdout.strip()
