"""How quick this device is at large matrix products: what a step's speed is measured against."""

import json
import os
import platform
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from manifests.store import write_bytes

_SIDE = {"cuda": 8192, "cpu": 1024}
_NUM_ROUNDS, _PRODUCTS_PER_ROUND = 5, 4


def matmul_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """Return the 10^12 operations a second of large square products on a device, the best of a few rounds.

    Measured once for a device, a type and a version of torch, and kept in the user's cache folder. One that
    was measured while others kept the device busy is too low until the file is deleted.
    """
    path, name = _cache_path(), f"{_name(device)}, {dtype}, torch {torch.__version__}"
    known: dict[str, float] = {}
    # In a container the user may have no folder: then it is measured at each start.
    with suppress(OSError):
        known = json.loads(path.read_text(encoding="utf-8"))
    if name not in known:
        known[name] = measure_matmul_tflops(device, dtype)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, (json.dumps(known, indent=1) + "\n").encode())
    return known[name]


def measure_matmul_tflops(device: torch.device, dtype: torch.dtype) -> float:
    """Return what `matmul_tflops` keeps. Random numbers of its own: zeros would be quicker than any data."""
    side = _SIDE[device.type]
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    left @ right  # loads and chooses kernels
    seconds = [_time_round(left, right) for _ in range(_NUM_ROUNDS)]
    return _PRODUCTS_PER_ROUND * 2 * side**3 / min(seconds) / 1e12


def _time_round(left: Tensor, right: Tensor) -> float:
    _wait_for(left.device)
    start_s = time.perf_counter()
    for _ in range(_PRODUCTS_PER_ROUND):
        left @ right
    _wait_for(left.device)
    return time.perf_counter() - start_s


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _cache_path() -> Path:
    folder = os.environ.get("XDG_CACHE_HOME")
    return (Path(folder) if folder else Path.home() / ".cache") / "openwit" / "matmul_tflops.json"
