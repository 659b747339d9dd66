"""What a run does about signals, hanging steps, bad losses and damaged checkpoints."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import train.loop
from tests.fakes import make_dataset
from tests.tiny_train import tiny_config, tiny_flags
from train.checkpoint import load_checkpoint
from train.launch.command import fit_command
from train.loop import fit
from train.metrics import read_ledger
from train.oversight import TrainingError
from train.trained import load_trained
from train.watch import LossGuard, Stop


def weights(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.model


def last_step(run: Path) -> int:
    checkpoint = load_checkpoint(run)
    assert checkpoint is not None
    return checkpoint.step


@pytest.mark.parametrize(
    ("num_processes", "number"),
    [(1, signal.SIGUSR1), (2, signal.SIGTERM), pytest.param(1, signal.SIGTERM, marks=pytest.mark.slow)],
)
def test_a_signal_saves_and_asks_to_be_started_again(
    tmp_path: Path, num_processes: int, number: signal.Signals
) -> None:
    data, run = make_dataset(tmp_path / "data"), tmp_path / "run"
    flags = [*tiny_flags(data, run, num_epochs=100_000), "--checkpoint-every-steps", "1000000"]
    process = subprocess.Popen(fit_command(flags, num_processes), stderr=subprocess.PIPE, text=True)
    while not (run / "metrics.jsonl").is_file():
        time.sleep(0.05)
        assert process.poll() is None, process.communicate()[1]
    process.send_signal(number)
    said = process.communicate()[1]
    assert last_step(run) > 0
    if num_processes == 1:
        assert process.returncode == 75
        assert f"stopped: stopped at step {last_step(run)} as asked" in said


def test_a_step_that_hangs_ends_the_run_with_its_stacks(tmp_path: Path) -> None:
    script = "import time; from train.watch import Watchdog\nwith Watchdog(0.3): time.sleep(60)"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Timeout (0:00:00.300000)!" in ended.stderr
    assert 'File "<string>", line 2 in <module>' in ended.stderr


def fit_with_bad_losses(
    monkeypatch: pytest.MonkeyPatch, root: Path, bad: dict[str, float], **changes: Any
) -> Path:
    """Train on a dataset whose batch at a step, known by its first key, has another loss than it should."""
    real = train.loop.train_step

    def step(state: Any, batch: Any, lr: float, *rest: Any) -> torch.Tensor:
        return real(state, batch, lr, *rest) + bad.get(batch.keys[0], 0.0)

    monkeypatch.setattr(train.loop, "train_step", step)
    config = tiny_config(ledger=True, checkpoint_every_steps=2, num_epochs=4, **changes)
    data = root / "data"
    return fit(config, data if data.exists() else make_dataset(data), root / "run")


def test_the_batch_of_a_bad_loss_is_left_out_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "data")
    whole = fit(tiny_config(ledger=True, num_epochs=4), data, tmp_path / "whole")
    order = read_ledger(whole)
    first = order[5][0]
    again = [step for step, keys in order.items() if keys[0] == first]
    run = fit_with_bad_losses(monkeypatch, tmp_path, {first: float("nan")}, max_rollbacks=len(again))
    skipped = [json.loads(line) for line in (run / "skipped.jsonl").read_text().splitlines()]
    assert [line["step"] for line in skipped] == again
    assert skipped[0]["keys"] == list(order[again[0]])
    # The step before is left out too, unless a checkpoint already holds it: they are written every 2 steps.
    left_out = {step - before for step in again for before in ((0, 1) if step % 2 == 0 else (0,))}
    assert read_ledger(run) == {step: keys for step, keys in order.items() if step not in left_out}
    assert all(torch.isfinite(value).all() for value in weights(run).values())


def test_without_a_way_back_a_bad_loss_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_dataset(tmp_path / "data")
    order = read_ledger(fit(tiny_config(ledger=True, num_epochs=4), data, tmp_path / "whole"))
    with pytest.raises(TrainingError, match=r"the loss is inf at step .* with --max-rollbacks"):
        fit_with_bad_losses(monkeypatch, tmp_path, {order[5][0]: float("inf")})
    assert (
        last_step(tmp_path / "run") == 4 if order[5][0] not in {order[s][0] for s in (1, 2, 3, 4)} else True
    )


def test_a_loss_that_leaps_is_bad_and_one_that_falls_is_not() -> None:
    guard = LossGuard(max_rise=2.0)
    for step in range(1, 101):
        guard.take(step, torch.tensor(5.0 - step / 50))
    assert guard.first_bad() is None
    for step, loss in enumerate([1.0, 5.9, 6.2], start=101):
        guard.take(step, torch.tensor(loss))
    bad = guard.first_bad()
    assert bad is not None
    assert bad[0] == 103


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    data, config = make_dataset(tmp_path / "data"), tiny_config(num_checkpoints_kept=2)
    run = fit(config, data, tmp_path / "run")
    expected = weights(run)
    newest = run / "checkpoints" / "step-00000006.pt"
    newest.write_bytes(newest.read_bytes()[:-100] + bytes(100))
    assert last_step(run) == 4
    assert "step-00000006.pt is damaged or gone" in caplog.text
    fit(config, data, run)
    torch.testing.assert_close(weights(run), expected, rtol=0, atol=0)
    for path in (run / "checkpoints").glob("*.pt"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="has no undamaged checkpoint"):
        load_checkpoint(run)


def test_averaged_weights_follow_and_are_what_is_evaluated(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(ema_decay=0.5, num_checkpoints_kept=9, checkpoint_every_steps=1)
    run = fit(config, data, tmp_path / "run")
    steps = [torch.load(path, weights_only=True) for path in sorted((run / "checkpoints").glob("*.pt"))]
    expected = steps[0]["model"]["ln_final.weight"]
    for step in steps[1:]:
        expected = 0.5 * expected + 0.5 * step["model"]["ln_final.weight"]
    torch.testing.assert_close(steps[-1]["ema"]["ln_final.weight"], expected)
    torch.testing.assert_close(load_trained(run).model.ln_final.weight.detach(), expected)


def test_averaged_weights_go_on_where_they_were(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    config = tiny_config(ema_decay=0.5, num_checkpoints_kept=9, checkpoint_every_steps=1)
    runs = [fit(config, data, tmp_path / name) for name in ("one", "two")]
    (runs[1] / "checkpoints" / "latest").write_text("step-00000003.pt\n")
    fit(config, data, runs[1])
    one, two = (load_checkpoint(run) for run in runs)
    assert one is not None
    assert two is not None
    torch.testing.assert_close(one.ema, two.ema, rtol=0, atol=0)


def test_the_clock_asks_for_checkpoints_too() -> None:
    stop = Stop(every_minutes=1e-9)
    assert stop.agreed() == (False, True)
    assert Stop(every_minutes=60).agreed() == (False, False)
    assert Stop(every_minutes=None).agreed() == (False, False)


def test_options_out_of_range_are_refused() -> None:
    for change in ({"ema_decay": 1.0}, {"max_step_minutes": 0.0}, {"max_rollbacks": -1}):
        with pytest.raises(ValueError, match="must be"):
            replace(tiny_config(), **change)
