"""Where the time of a run's steps goes: waiting for pictures, on the device, or neither."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from train.config import TrainConfig
from train.flops import SampleFlops
from train.peak import matmul_tflops

Item = TypeVar("Item")
# From what share of the time on a cause is worth naming, and below what MFU a busy device is.
_WORTH_NAMING, _LOW_MFU = 0.2, 0.3


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How the steps since the last reading went, of this process's device."""

    mfu: float  # operations of the model, over what large matrix products of the same time would be
    data_wait: float  # share of the time in which the device had to wait for pictures
    device_busy: float  # share of the time that steps took
    memory_gb: float  # the most that was in use, of the device; on a CPU of the process

    def bottleneck(self, num_decode_threads: int) -> str:
        """Return one line: what holds the run up, and what to change."""
        if self.data_wait >= _WORTH_NAMING:
            return (
                f"data: {self.data_wait:.0%} of the time is spent waiting for pictures: more than "
                f"--data.num-decode-threads {num_decode_threads}, or shards of pictures resized before"
            )
        if (other := 1 - self.device_busy - self.data_wait) >= _WORTH_NAMING:
            return (
                f"host: {other:.0%} of the time goes to logs and checkpoints: "
                "larger --log-every-steps and --checkpoint-every-steps"
            )
        busy = f"device: busy {self.device_busy:.0%} of the time at {self.mfu:.0%} of its matrix products"
        return f"{busy}: a larger batch, or a wider model" if self.mfu < _LOW_MFU else f"{busy}: as it should"


class Meter:
    """Measures one process's steps; asks nothing of the device but when it is read."""

    def __init__(self, config: TrainConfig, device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._flops_per_s = 1e12 * matmul_tflops(device, dtype)
        self._sample = SampleFlops(config.model, config.speed.patch_dropout)
        self._events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []
        self._begin()

    def _begin(self) -> None:
        self._started_s = time.perf_counter()
        self._waited_s = self._computed_s = 0.0
        self._flops = 0

    def waiting(self, batches: Iterable[Item]) -> Iterator[Item]:
        """Yield what is given, and count how long each took to come."""
        iterator = iter(batches)
        while True:
            start_s = time.perf_counter()
            batch = next(iterator, None)
            self._waited_s += time.perf_counter() - start_s
            if batch is None:
                return
            yield batch

    @contextmanager
    def computing(self, num_samples: int, num_tokens: int) -> Iterator[None]:
        """Count a step on so many captions of `num_tokens`, which the device may finish later."""
        self._flops += num_samples * self._sample.training(num_tokens)
        if self._device.type == "cuda":
            start = _event()
            yield
            self._events.append((start, _event()))
        else:
            start_s = time.perf_counter()
            yield
            self._computed_s += time.perf_counter() - start_s

    def leave_out(self, seconds: float) -> None:
        """Do not count the last so many seconds, in which something else was done."""
        self._started_s += seconds

    def read(self) -> Speed:
        """Return how it went since the last reading, once the device has finished what it was given."""
        if self._events:
            self._events[-1][1].synchronize()
            self._computed_s = sum(start.elapsed_time(end) for start, end in self._events) / 1e3
            self._events = []
        total_s = time.perf_counter() - self._started_s
        busy = min(1.0, self._computed_s / total_s)
        speed = Speed(
            mfu=self._flops / total_s / self._flops_per_s,
            # While a GPU still works on earlier steps, waiting for pictures costs nothing.
            data_wait=min(self._waited_s / total_s, 1 - busy),
            device_busy=busy,
            memory_gb=self._memory_bytes() / 1e9,
        )
        self._begin()
        return speed

    def _memory_bytes(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        # Linux counts in KiB, macOS in bytes.
        unit = 1 if sys.platform == "darwin" else 1024
        return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch publishes no types
    event.record()
    return event
