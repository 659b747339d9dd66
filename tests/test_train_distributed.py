"""Runs of several processes against the same run in one: losses, weights, order of pairs, resume."""

import json
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import make_dataset
from tests.processes import run_together
from tests.tiny_train import tiny_config, tiny_flags
from train.checkpoint import load_checkpoint
from train.config import DataConfig, OptimConfig, TrainConfig
from train.launch.command import fit_command
from train.loop import fit
from train.metrics import read_ledger

DATA = DataConfig(batch_size=8, min_crop_share=0.5)
# The gradient of the keys' bias is zero but for rounding, which Adam would make visible with a small eps.
OPTIM = OptimConfig(peak_lr=1e-3, num_warmup_steps=2, eps=1e-3)
CONFIG = tiny_config(data=DATA, optim=OPTIM, ledger=True, num_epochs=4)


def trained(root: Path, config: TrainConfig, num_processes: int = 1, name: str = "run") -> Path:
    """Train on 10 pairs, and return where."""
    data, run = root / "data", root / name
    if not data.exists():
        make_dataset(data)
    if num_processes == 1:
        return fit(config, data, run)
    run_together(num_processes, fit, config, data, run)
    return run


def kill_at_random(run: Path, flags: list[str], counts: list[int], rng: random.Random) -> None:
    """Train with these numbers of processes, one after the other, each killed after some steps; then to the
    end with the last."""
    for count in counts:
        process = subprocess.Popen(
            fit_command(flags, count),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        before, until_s = len(read_ledger(run)), time.monotonic() + 60
        wanted = before + rng.randint(1, 4)
        while process.poll() is None and len(read_ledger(run)) < wanted and time.monotonic() < until_s:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.1))
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run(fit_command(flags, counts[-1]), check=True, capture_output=True)


def losses(run: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]


def assert_same(one: Path, other: Path, atol: float = 1e-6) -> None:
    """Check that two runs had the same pairs, losses and weights."""
    assert read_ledger(one) == read_ledger(other)
    assert losses(one) == pytest.approx(losses(other), abs=1e-5)
    ours, theirs = load_checkpoint(one), load_checkpoint(other)
    assert ours is not None
    assert theirs is not None
    torch.testing.assert_close(ours.model, theirs.model, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("loss", ["infonce", "siglip"])
@pytest.mark.parametrize("micro_batch_size", [1, 3, 7])
def test_micro_batches_change_nothing(tmp_path: Path, loss: Any, micro_batch_size: int) -> None:
    config = replace(CONFIG, loss=loss)
    small = replace(config, data=replace(DATA, micro_batch_size=micro_batch_size))
    assert_same(trained(tmp_path, small, name="small"), trained(tmp_path, config))


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("num_processes", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("loss", "micro_batch_size"), [("infonce", None), ("infonce", 1), ("siglip", 2)])
def test_several_processes_train_as_one_does(
    tmp_path: Path, parallel: Any, num_processes: int, loss: Any, micro_batch_size: int | None
) -> None:
    config = replace(CONFIG, loss=loss, parallel=parallel)
    several = replace(config, data=replace(DATA, micro_batch_size=micro_batch_size))
    assert_same(trained(tmp_path, several, num_processes, "several"), trained(tmp_path, config))


def killed_and_undisturbed(root: Path, counts: list[int], more: tuple[str, ...] = ()) -> tuple[Path, Path]:
    data = make_dataset(root / "data")
    runs = root / "killed", root / "whole"
    flags = [[*tiny_flags(data, run, num_epochs=30), "--ledger", "--data.batch-size", "8"] for run in runs]
    flags = [[*own, *more] for own in flags]
    kill_at_random(runs[0], flags[0], counts, random.Random(7))
    subprocess.run(fit_command(flags[1], counts[-1]), check=True, capture_output=True)
    return runs


def check_killed(root: Path, counts: list[int], *more: str) -> None:
    """Check that a run killed on its way had the pairs of an undisturbed one, in order; and where the number
    of processes never changed, its curve and its weights to the bit."""
    killed, whole = killed_and_undisturbed(root, counts, more)
    assert read_ledger(killed) == read_ledger(whole)
    if len(set(counts)) == 1:
        assert (killed / "metrics.jsonl").read_bytes() == (whole / "metrics.jsonl").read_bytes()
        ours, theirs = load_checkpoint(killed), load_checkpoint(whole)
        assert ours is not None
        assert theirs is not None
        torch.testing.assert_close(ours.model, theirs.model, rtol=0, atol=0)


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    check_killed(tmp_path, [2, 1])


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[2] * 20, [2, 4] * 10, [1, 4, 2, 3] * 5])
def test_killed_twenty_times_a_run_of_several_processes_learns_from_the_same_pairs(
    tmp_path: Path, counts: list[int]
) -> None:
    check_killed(tmp_path, counts)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_averaged_weights_of_several_processes_go_on_where_they_were(tmp_path: Path, parallel: Any) -> None:
    config = replace(
        CONFIG, ema_decay=0.5, parallel=parallel, num_checkpoints_kept=9, checkpoint_every_steps=1
    )
    whole, resumed = trained(tmp_path, config, name="whole"), trained(tmp_path, config, 2, "resumed")
    (resumed / "checkpoints" / "latest").write_text("step-00000003.pt\n")
    trained(tmp_path, config, 2, "resumed")
    ours, theirs = load_checkpoint(resumed), load_checkpoint(whole)
    assert ours is not None
    assert theirs is not None
    torch.testing.assert_close(ours.ema, theirs.ema, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [[2] * 6, [2, 4, 1, 2]])
def test_a_sharded_run_killed_between_parts_and_evaluations_repeats_and_loses_nothing(
    tmp_path: Path, counts: list[int]
) -> None:
    often = ("--checkpoint-every-steps", "1", "--evals.retrieval", f"pairs={tmp_path / 'data'}")
    check_killed(tmp_path, counts, "--parallel", "fsdp", *often)
