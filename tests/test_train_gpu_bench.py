"""The benchmark for a GPU, tried out on a CPU with a tiny model; without a GPU it says so."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.bench.train_gpu import main, make_batches, make_config, make_state
from tests.fakes import make_dataset
from train.copying import copied_ahead
from train.loop import train_step
from train.plan import plan_run
from train.recipes import RECIPES

PEER = Path(__file__).parent.parent / ".venv-peers/bin/python"
TINY = ["--device", "cpu", "--models", "tiny", "--num-steps", "1", "--no-compile"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here: make bench NAME=train_gpu")
def test_without_a_gpu_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().err == "train_gpu: torch finds no GPU here, nothing was measured\n"


def test_its_last_line_is_what_a_plan_reads(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    flags = ["--peer-python", "nowhere", "--data", str(data), "--batch-size", "4"]
    assert main([*TINY, *flags]) == 0
    path = tmp_path / "train_gpu.json"
    path.write_text(capsys.readouterr().out)
    figures = json.loads(path.read_text().splitlines()[-1])["models"]["tiny"]
    assert figures["samples_per_s"] > 0
    assert sum(figures["where"].values()) == pytest.approx(1, abs=0.01)
    assert 0 <= figures["end_to_end"]["data_wait"] <= 1
    assert (figures["ratio"], figures["open_clip"]["default"]["error"]) == (None, "no nowhere: make peers")
    config = RECIPES["vit_b_32"]()
    plan = plan_run(config, gpu="h200", num_gpus=64, num_pairs=10**8, measured=path)
    assert plan.mfu_source == "assumed; not among the measured"


@pytest.mark.slow
@pytest.mark.skipif(not PEER.exists(), reason="no .venv-peers: make peers")
def test_open_clip_is_measured_on_the_same_batches(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--peer-python", str(PEER)]) == 0
    figures = json.loads(capsys.readouterr().out.splitlines()[-1])["models"]["tiny"]
    peer = figures["open_clip"]["default"]
    assert peer["version"] == "3.3.0"
    assert figures["ratio"] == figures["samples_per_s"] / peer["samples_per_s"]


def test_its_steps_learn() -> None:
    config = replace(make_config("tiny", 8, "cpu", compiled=False), precision="float32")
    state, batches = make_state(config), make_batches("tiny", 8)
    losses = [train_step(state, batches[0], 1e-3, config).item() for _ in range(20)]
    assert losses[-1] < losses[0]


def test_captions_end_where_they_are_said_to() -> None:
    for batch in make_batches("tiny", 64):
        assert (batch.tokens[:, 0] == 49_406).all()
        assert ((batch.tokens == 49_407).sum(dim=1) == 1).all()
        assert batch.tokens[torch.arange(64), batch.tokens.argmax(dim=1)].eq(49_407).all()


def test_on_a_cpu_batches_are_handed_on_as_they_are() -> None:
    batches = make_batches("tiny", 2)
    assert all(
        one is other for one, other in zip(copied_ahead(batches, torch.device("cpu")), batches, strict=True)
    )
