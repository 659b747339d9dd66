"""TensorBoard and Weights & Biases: the same scalars, in one run however often it is taken up."""

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.loop import fit

ROOT = Path(__file__).parent.parent
PEER = ROOT / ".venv-peers/bin/python"
LOGS = """
import sys, pathlib, train.wandb_run
run = train.wandb_run.WandbRun(pathlib.Path(sys.argv[1]), "openwit", {"recipe": "tiny"})
run.scalars(int(sys.argv[2]), {"curious_loss": 1.5})
run.close()
"""


def test_tensorboard_has_the_scalars_of_each_step_once(tmp_path: Path) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    fit(tiny_config(num_checkpoints_kept=9), data, run)
    (run / "checkpoints" / "latest").write_text("step-00000002.pt\n")
    fit(tiny_config(num_checkpoints_kept=9), data, run)
    board = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in board.Scalars("loss")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.skipif(importlib.util.find_spec("wandb") is not None, reason="wandb is installed here")
def test_without_its_package_wandb_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^wandb_project is p, .* pip install 'openwit\[wandb\]', or leave"):
        fit(tiny_config(wandb_project="p"), make_dataset(tmp_path / "data"), tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.skipif(not PEER.exists(), reason="no .venv-peers, where wandb is: make peers")
def test_a_resumed_run_goes_on_in_the_same_run_at_wandb(tmp_path: Path) -> None:
    offline = os.environ | {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "PYTHONPATH": str(ROOT)}
    for step in ("1", "2"):
        command = [str(PEER), "-c", LOGS, str(tmp_path), step]
        subprocess.run(command, env=offline, check=True, capture_output=True, timeout=120)
    own = (tmp_path / "wandb-id").read_text().strip()
    logs = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert [path.name for path in logs] == [f"run-{own}.wandb"] * 2
    assert all(b"curious_loss" in path.read_bytes() for path in logs)
