"""What a run says about its own speed: where the time went, and what holds it up."""

import json
import time
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.fakes import make_dataset
from tests.tiny_train import TINY_MODEL, tiny_config
from train.flops import SampleFlops
from train.loop import fit
from train.meter import Meter, Speed
from train.models.resnet import ClipResNet
from train.peak import matmul_tflops, measure_matmul_tflops

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own, in which no device is known yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_peak_is_measured_once_and_kept(cache: Path) -> None:
    first = matmul_tflops(CPU, torch.float32)
    assert matmul_tflops(CPU, torch.float32) == first
    path = cache / "openwit" / "matmul_tflops.json"
    (name,) = json.loads(path.read_text())
    path.write_text(json.dumps({name: 123.0}))
    assert matmul_tflops(CPU, torch.float32) == 123.0


def test_no_matrix_product_is_much_quicker_than_the_peak() -> None:
    left = torch.randn(512, 512)
    left @ left
    start_s = time.perf_counter()
    for _ in range(8):
        left @ left
    tflops = 8 * 2 * 512**3 / (time.perf_counter() - start_s) / 1e12
    # Others may have kept the machine busy during either.
    assert tflops < 10 * measure_matmul_tflops(CPU, torch.float32)


def test_measuring_leaves_the_random_numbers_of_a_run_alone() -> None:
    before = torch.get_rng_state()
    Meter(tiny_config(), CPU, torch.float32)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_pictures_operations_are_counted_also_where_a_resnet_ends_as_a_single_place() -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counted:
        ClipResNet.tiny().build(8).eval().encode_image(torch.zeros(1, 3, 32, 32))
    assert SampleFlops(ClipResNet.tiny()).image == counted.get_total_flops()


def test_the_meter_tells_waiting_from_computing() -> None:
    meter = Meter(tiny_config(), CPU, torch.float32)

    def slow() -> object:
        for number in range(3):
            time.sleep(0.02)
            yield number

    start_s = time.perf_counter()
    for _ in meter.waiting(slow()):  # type: ignore[arg-type]  # a generator all the same
        with meter.computing(4, 8):
            time.sleep(0.04)
    speed = meter.read()
    total_s = time.perf_counter() - start_s
    assert 0.06 / total_s <= speed.data_wait <= 1 - speed.device_busy
    assert speed.device_busy >= 0.12 / total_s
    flops = 12 * SampleFlops(TINY_MODEL).training(8)
    assert speed.mfu == pytest.approx(flops / total_s / 1e12 / matmul_tflops(CPU, torch.float32), rel=0.1)
    assert speed.memory_gb > 0.05
    assert meter.read().mfu == 0


@pytest.mark.parametrize(
    ("data_wait", "device_busy", "mfu", "line"),
    [
        (0.62, 0.38, 0.1, "data: 62% of the time is spent waiting for pictures: more than --data."),
        (0.05, 0.60, 0.1, "host: 35% of the time goes to logs and checkpoints: larger --log-every"),
        (0.05, 0.95, 0.1, "device: busy 95% of the time at 10% of its matrix products: a larger"),
        (0.19, 0.81, 0.5, "device: busy 81% of the time at 50% of its matrix products: as it should"),
    ],
)
def test_the_bottleneck_is_named(data_wait: float, device_busy: float, mfu: float, line: str) -> None:
    speed = Speed(mfu=mfu, data_wait=data_wait, device_busy=device_busy, memory_gb=1.0)
    assert speed.bottleneck(num_decode_threads=2).startswith(line)


def test_where_nobody_looks_a_run_prints_plain_lines_with_the_figures_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(tiny_config(), make_dataset(tmp_path / "data"), tmp_path / "run")
    timing = [json.loads(line) for line in (run / "timing.jsonl").read_text().splitlines()]
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    first, last = (line for line in capsys.readouterr().err.splitlines() if line.startswith("step "))
    assert first.startswith(f"step 1/6: loss {metrics[0]['loss']:.3f}, ")
    figures = f"{timing[-1]['samples_per_s']:.0f} samples/s, MFU {timing[-1]['mfu']:.0%}, data wait "
    assert last.startswith(f"step 6/6: loss {metrics[-1]['loss']:.3f}, {figures}")
    assert last.partition("; ")[2].startswith(("data: ", "host: ", "device: "))
