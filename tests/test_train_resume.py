import json
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.tiny_train import tiny_config, tiny_flags
from train.__main__ import main
from train.checkpoint import load_checkpoint
from train.loop import fit
from train.metrics import drop_lines_after
from train.models import MODELS
from train.oversight import TrainingError


def curve(run_dir: Path) -> bytes:
    return (run_dir / "metrics.jsonl").read_bytes()


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run_dir)
    assert checkpoint is not None
    return checkpoint.model


def kill_at_random(arguments: list[str], run_dir: Path, num_kills: int, seed: int) -> int:
    """Run `fit` until it ends, killed `num_kills` times on its way; return its last exit status."""
    rng = random.Random(seed)
    command = [sys.executable, "-m", "train", "fit", *arguments]
    for _ in range(num_kills):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        before = len(curve(run_dir)) if (run_dir / "metrics.jsonl").is_file() else 0
        deadline_s = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.005)
            if (run_dir / "metrics.jsonl").is_file() and len(curve(run_dir)) > before:
                break
        time.sleep(rng.uniform(0, 0.15))
        process.kill()
        process.wait()
    return subprocess.run(
        command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False
    ).returncode


def test_a_run_leaves_what_its_readers_expect(tmp_path: Path) -> None:
    run = fit(tiny_config(), make_dataset(tmp_path / "data"), tmp_path / "run")
    lines = [json.loads(line) for line in curve(run).splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert list(lines[0]) == ["step", "epoch", "num_samples", "loss", "lr", "logit_scale"]
    timing = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    assert list(timing[0]) == [
        *("step", "samples_per_s", "cpu_s", "wall_s"),
        *("mfu", "data_wait", "device_busy", "memory_gb"),
    ]
    checkpoints = sorted(path.name for path in (run / "checkpoints").iterdir())
    kept = [f"step-0000000{step}.pt{end}" for step in (4, 6) for end in ("", ".sha256")]
    assert checkpoints == ["latest", *kept]
    assert (run / "checkpoints" / "latest").read_text() == "step-00000006.pt\n"
    assert list((run / "tensorboard").iterdir())


@pytest.mark.parametrize(("model", "precision"), [("clip_vit", "float32"), ("clip_resnet", "bfloat16")])
def test_the_same_run_twice_has_the_same_curve_to_the_bit(model: str, precision: str, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(model=MODELS[model].tiny(), precision=precision, num_epochs=2)
    other_threads = replace(config, data=replace(config.data, num_decode_threads=5))
    one, other = fit(config, data, tmp_path / "one"), fit(other_threads, data, tmp_path / "other")
    assert curve(one) == curve(other)
    assert all(torch.equal(value, weights(other)[name]) for name, value in weights(one).items())


def test_a_finished_run_is_left_as_it_is(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    run = fit(tiny_config(), data, tmp_path / "run")
    before = curve(run)
    fit(tiny_config(), data, run)
    assert curve(run) == before


def test_a_run_taken_up_from_any_checkpoint_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(num_checkpoints_kept=10, checkpoint_every_steps=1)
    whole, resumed = fit(config, data, tmp_path / "whole"), fit(config, data, tmp_path / "resumed")
    for step in (0, 1, 4):
        (resumed / "checkpoints" / "latest").write_text(f"step-{step:08d}.pt\n")
        with (resumed / "metrics.jsonl").open("a") as file:
            file.write('{"step": 7, "lo')
        fit(config, data, resumed)
        assert curve(resumed) == curve(whole)
        assert all(torch.equal(value, weights(whole)[name]) for name, value in weights(resumed).items())


def test_another_config_on_resume_is_refused_with_its_difference(tmp_path: Path) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    fit(tiny_config(), data, run)
    other = tiny_config()
    with pytest.raises(ValueError, match=r"begun differently: optim.peak_lr: 0.01, now 0.02. Next"):
        fit(replace(other, optim=replace(other.optim, peak_lr=0.02)), data, run)
    fit(replace(other, checkpoint_every_steps=5), data, run)


def test_a_request_that_is_refused_begins_no_run(tmp_path: Path) -> None:
    few = make_dataset(tmp_path / "few", num_pairs=3)
    with pytest.raises(ValueError, match=r"batch_size is 4, the dataset has only 3 pairs. Next"):
        fit(tiny_config(), few, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_dataset_on_resume_is_refused(tmp_path: Path) -> None:
    run = fit(tiny_config(), make_dataset(tmp_path / "data"), tmp_path / "run")
    with pytest.raises(ValueError, match=r"dataset.content_hash"):
        fit(tiny_config(), make_dataset(tmp_path / "other", num_pairs=9), run)


def test_an_infinite_loss_stops_the_run_and_says_what_is_kept(tmp_path: Path) -> None:
    config = tiny_config()
    wild = replace(config, optim=replace(config.optim, peak_lr=1e30, num_warmup_steps=0))
    with pytest.raises(TrainingError, match=r"the loss is nan at step .* Kept: the newest checkpoint"):
        fit(wild, make_dataset(tmp_path / "data"), tmp_path / "run")


def test_torn_and_later_lines_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    drop_lines_after(path, 2)
    assert path.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_a_run_begins_with_a_checkpoint_that_holds_everything(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    run = fit(tiny_config(num_checkpoints_kept=9), data, tmp_path / "run")
    assert (run / "checkpoints" / "step-00000000.pt").is_file()
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.config == json.loads((run / "config.json").read_text())
    assert checkpoint.config["dataset"]["content_hash"] == open_dataset(data).manifest.content_hash


def test_a_killed_run_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    arguments = {name: tiny_flags(data, tmp_path / name, num_epochs=30) for name in ("whole", "killed")}
    assert main(["fit", *arguments["whole"]]) == 0
    assert kill_at_random(arguments["killed"], tmp_path / "killed", num_kills=1, seed=0) == 0
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")


@pytest.mark.slow
def test_a_run_killed_ten_times_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    arguments = {name: tiny_flags(data, tmp_path / name, num_epochs=200) for name in ("whole", "killed")}
    assert main(["fit", *arguments["whole"]]) == 0
    assert kill_at_random(arguments["killed"], tmp_path / "killed", num_kills=10, seed=1) == 0
    assert curve(tmp_path / "killed") == curve(tmp_path / "whole")
    assert (tmp_path / "whole" / "checkpoints" / "latest").read_text() == "step-00000400.pt\n"
