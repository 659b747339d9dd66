"""Checkpoints in parts: what several processes write is what one would, and is taken up by any number."""

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.fakes import make_dataset
from tests.processes import run_together
from tests.tiny_train import tiny_config
from train.checkpoint import Checkpoint, load_checkpoint, newest_checkpoint
from train.checkpoint_writer import CheckpointWriter
from train.config import DataConfig, OptimConfig, TrainConfig
from train.distributed import processes, rank, wait_for_all
from train.interchange import read_model
from train.loop import fit

# A large eps, since the gradient of the keys' bias is zero but for rounding.
CONFIG = tiny_config(
    data=DataConfig(batch_size=8, min_crop_share=0.5),
    optim=OptimConfig(peak_lr=1e-3, num_warmup_steps=2, eps=1e-3),
    parallel="fsdp",
    ema_decay=0.5,
    num_checkpoints_kept=9,
    checkpoint_every_steps=1,
    num_epochs=4,
)


def trained(root: Path, config: TrainConfig, num_processes: int, name: str) -> Path:
    data, run = root / "data", root / name
    if not data.exists():
        make_dataset(data)
    run_together(num_processes, fit, config, data, run)
    return run


def loaded(run: Path) -> Checkpoint:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint


def assert_equal(one: Checkpoint, other: Checkpoint, rtol: float = 0, atol: float = 0) -> None:
    for name in ("model", "ema", "rng_state"):
        torch.testing.assert_close(vars(one)[name], vars(other)[name], rtol=rtol, atol=atol)
    torch.testing.assert_close(one.optimizer["state"], other.optimizer["state"], rtol=rtol, atol=atol)
    assert (one.step, one.tokenizer_state) == (other.step, other.tokenizer_state)


@pytest.fixture(scope="module")
def run_in_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("parts"), CONFIG, 2, "run")


def test_each_process_writes_its_part_and_all_have_sums(run_in_parts: Path) -> None:
    folder = run_in_parts / "checkpoints"
    assert (folder / "latest").read_text() == "step-00000004.parts\n"
    newest = folder / "step-00000004.parts"
    names = ["00000-of-00002.pt", "00001-of-00002.pt"]
    assert sorted(path.name for path in newest.iterdir()) == [*names, "SHA256SUMS"]
    sums = [f"{hashlib.sha256((newest / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    assert (newest / "SHA256SUMS").read_text() == "".join(sums)
    first, second = ((newest / name).stat().st_size for name in names)
    assert 0.8 < second / first < 1  # the second has no tokenizer and no scalars


def test_parts_hold_what_a_whole_checkpoint_does(run_in_parts: Path) -> None:
    whole = trained(run_in_parts.parent, replace(CONFIG, checkpoint_form="whole"), 2, "whole")
    assert (whole / "checkpoints" / "latest").read_text() == "step-00000004.pt\n"
    assert_equal(loaded(run_in_parts), loaded(whole))


@pytest.mark.parametrize(
    "taken_up",
    [
        (("step-00000002.parts", 1), ("step-00000003.pt", 2)),
        pytest.param((("step-00000002.parts", 4), ("step-00000003.parts", 1)), marks=pytest.mark.slow),
    ],
)
def test_any_number_of_processes_goes_on_from_parts(
    run_in_parts: Path, tmp_path: Path, taken_up: tuple[tuple[str, int], ...]
) -> None:
    run = trained(tmp_path, CONFIG, 2, "run")
    for newest, num_processes in taken_up:
        (run / "checkpoints" / "latest").write_text(f"{newest}\n")
        trained(tmp_path, CONFIG, num_processes, "run")
    assert_equal(loaded(run), loaded(run_in_parts), rtol=1e-5, atol=1e-6)


def test_a_model_is_handed_on_from_either_form(run_in_parts: Path, tmp_path: Path) -> None:
    run = tmp_path / "whole"
    checkpoint = loaded(run_in_parts)
    with CheckpointWriter(run, num_kept=1) as writer:
        writer.write(checkpoint)
    models = [read_model(place) for place in (run_in_parts, newest_checkpoint(run_in_parts), run) if place]
    assert len(models) == 3
    torch.testing.assert_close(models[0].state, models[2].state, rtol=0, atol=0)
    torch.testing.assert_close(models[0].state, models[1].state, rtol=0, atol=0)
    torch.testing.assert_close(models[0].state["ln_final.weight"], checkpoint.ema["ln_final.weight"])


@pytest.mark.parametrize("missing", ["SHA256SUMS", "00001-of-00002.pt"])
def test_parts_that_are_not_all_there_are_passed_over(tmp_path: Path, missing: str) -> None:
    run = tmp_path / "run"
    run_together(2, write_steps, run, (1, 2))
    (run / "checkpoints" / "step-00000002.parts" / missing).unlink()
    assert loaded(run).step == 1


def write_steps(run: Path, steps: tuple[int, ...], dies: Any = None) -> None:
    """Write a checkpoint of each step; the process `dies` ends itself before its part of the last one."""
    with processes(torch.device("cpu")), CheckpointWriter(run, num_kept=2, in_parts=True) as writer:
        for step in steps:
            writer.wait()
            wait_for_all()  # the first moves `latest` on when it has seen all parts
            if step == steps[-1] and rank() == dies:
                os._exit(9)
            writer.write(empty_checkpoint(step))


def empty_checkpoint(step: int) -> Checkpoint:
    return Checkpoint(
        step=step,
        config={},
        tokenizer_kind="clip",
        tokenizer_state="",
        model={},
        optimizer={},
        rng_state=torch.get_rng_state(),
    )


@pytest.mark.parametrize("dies", [0, 1])
def test_a_process_that_dies_before_its_part_leaves_latest_as_it_was(tmp_path: Path, dies: int) -> None:
    with pytest.raises(Exception, match=r"exit code 9|Connection closed"):
        run_together(2, write_steps, tmp_path / "run", (1, 2, 3), dies)
    assert loaded(tmp_path / "run").step == 2
    newest = newest_checkpoint(tmp_path / "run")
    assert newest is not None
    assert newest.name == "step-00000002.parts"


def test_only_whole_checkpoints_count_as_kept_and_torn_ones_go(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run_together(2, write_steps, run, (1, 2))
    torn = run / "checkpoints" / "step-00000002.parts"
    (torn / "SHA256SUMS").unlink()
    with CheckpointWriter(run, num_kept=2) as writer:
        writer.write(empty_checkpoint(3))
    assert sorted(path.name for path in (run / "checkpoints").glob("step-*")) == [
        *("step-00000001.parts", "step-00000003.pt", "step-00000003.pt.sha256"),
    ]


def test_parts_need_a_model_that_is_sharded() -> None:
    with pytest.raises(ValueError, match="checkpoint_form is parts, must be parts with --parallel fsdp only"):
        tiny_config(checkpoint_form="parts")
