"""What a look at the nodes finds before a run."""

import os
import time
from pathlib import Path

import pytest

from tests.fakes import make_dataset
from tests.processes import run_together
from train.launch import preflight
from train.launch.preflight import Preflight
from train.oversight import TrainingError


def test_two_processes_find_each_other_and_what_they_need(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    run_together(2, look, data, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def look(data: Path, run: Path) -> None:
    preflight.REDUCED_BYTES = 1 << 20  # what a network takes is not what is looked at here
    lines = Preflight(data=(data,), run=run, num_processes=2, min_reduced_gb_per_s=1e-6).run_checks()
    assert [" rank 0: CPU, all-reduce " in lines[0], " rank 1: CPU, all-reduce " in lines[1]] == [True, True]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"min_free_gb": 1e9}, "GB free at .*, less than 1e\\+09"),
        ({"data": (Path("/nowhere"),)}, "cannot read /nowhere"),
        ({"run": Path("/proc/nowhere")}, "cannot write to /proc/nowhere"),
        ({"num_processes": 16}, ": 1 processes started, 16 asked for"),
    ],
)
def test_what_is_wrong_is_named_with_its_node(
    changed: dict[str, object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "node-7")
    asked = {"data": (make_dataset(tmp_path / "data"),), "run": tmp_path / "run"} | changed
    with pytest.raises(TrainingError, match=f"node-7.*{message}"):
        Preflight(**asked).run_checks()  # type: ignore[arg-type]  # names and types are those above


def test_a_clock_that_is_off_and_a_slow_device_are_named(tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data")
    run_together(3, look_at_a_bad_node, data, tmp_path / "run")


def look_at_a_bad_node(data: Path, run: Path) -> None:
    preflight.REDUCED_BYTES = 1 << 20
    bad = os.environ["RANK"] == "2"
    real = time.time
    preflight.time.time = lambda: real() + 60 * bad  # type: ignore[attr-defined]
    preflight._device_speed = lambda: (300.0 if bad else 700.0, None)
    with pytest.raises(TrainingError) as caught:
        Preflight(data=(data,), run=run, num_processes=3, min_reduced_gb_per_s=1e-6).run_checks()
    assert "(rank 2): clock is +60.0 s off the others'" in str(caught.value)
    assert "(rank 2): 300 TFLOP/s, the others 700" in str(caught.value)


def test_processes_that_do_not_meet_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "WORLD_SIZE": "2",
        "RANK": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "1",
    }.items():
        monkeypatch.setenv(name, value)
    alone = Preflight(data=(tmp_path,), run=tmp_path, num_processes=2, timeout_s=1)
    with pytest.raises(TrainingError, match=r"no 2 processes met at 127\.0\.0\.1:1 in 1 s"):
        alone.run_checks()
