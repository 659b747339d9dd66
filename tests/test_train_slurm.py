"""Training jobs on a real Slurm of two nodes, where this machine has one."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.fakes import make_dataset
from tests.slurm import Slurm, running_slurm, why_not
from tests.tiny_train import tiny_flags
from train.__main__ import main
from train.checkpoint import load_checkpoint

JOB = ("--num-nodes", "2", "--gpus-per-node", "0", "--cpus-per-process", "1", "--save-s", "60")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    if reason := why_not():
        pytest.skip(reason)
    with running_slurm(tmp_path_factory.mktemp("slurm")) as found:
        before = dict(os.environ)
        os.environ.update(found.environment)
        yield found
        os.environ.clear()
        os.environ.update(before)


def wait_until(slurm: Slurm, ready: Callable[[], bool], within_s: float = 120) -> None:
    end_s = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < end_s, slurm.logs()
        time.sleep(0.2)


def submit(run: Path, data: Path, num_epochs: int, *flags: str) -> None:
    fit = [*tiny_flags(data, run, num_epochs=num_epochs), "--ledger", "--precision", "float32"]
    assert main(["submit", "slurm", *JOB, *flags, "--", *fit]) == 0


def newest_job(run: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert main(["jobs", "status", "--run", str(run)]) == 0
    return capsys.readouterr().out.partition("slurm job ")[2].split()[0]


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.model


@pytest.mark.slow
@pytest.mark.parametrize("how", ["signal", "preempted"])
def test_a_job_that_is_interrupted_ends_with_the_same_weights(
    how: str, slurm: Slurm, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_dataset(tmp_path / "data")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    submit(whole, data, 150, "--name", "whole")
    job = newest_job(whole, capsys)
    wait_until(slurm, lambda: slurm.state(job) == "COMPLETED")
    submit(cut, data, 150, "--name", "cut")
    job = newest_job(cut, capsys)
    wait_until(slurm, (cut / "metrics.jsonl").is_file)
    if how == "signal":
        slurm.run("scancel", "--signal=USR1", job)
    else:
        slurm.run(
            "sbatch", "--partition=urgent", "--nodes=2", "--ntasks=4", "--output=/dev/null", "--wrap=true"
        )
    wait_until(slurm, lambda: slurm.state(job) == "COMPLETED", within_s=300)
    log = (cut / "logs" / f"{job}.log").read_text()
    assert log.count("fit ended with status 75") == 1, log
    assert log.count("fit ended with status 0") == 1
    torch.testing.assert_close(weights(cut), weights(whole), rtol=0, atol=0)
    assert (cut / "logs" / f"{job}-1.log").is_file()
