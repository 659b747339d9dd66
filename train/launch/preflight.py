"""A look at every node before a run begins: python -m train preflight, started as `fit` would be.

What is found on all of them is put together, and a node that would slow the others down, or that would end
the run in its third hour, is named now.
"""

import os
import shutil
import socket
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from manifests.places import Place
from manifests.store import Dataset
from train.distributed import (
    gather_stacked,
    is_first,
    join_processes,
    local_rank,
    num_processes,
    rank,
    wait_for_all,
)
from train.oversight import TrainingError
from train.peak import measure_matmul_tflops
from train.plain_tars import open_pairs

REDUCED_BYTES = 1 << 26
NUM_REDUCTIONS = 5
READ_BYTES = 1 << 26
MIN_SHARE_OF_MEDIAN = 0.7  # of the others' speed at matrix products: slower is a GPU that throttles


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """Look at nodes, network, data and disk as `fit` would find them; exit 1 names the node that fails.

    Example: srun python -m train preflight --data /data/wit --run /runs/b32 --num-processes 16
    """

    data: tuple[Place, ...]
    run: Path
    num_processes: int = 1  # that must find each other: a world of one is never taken for one of many
    max_clock_skew_s: float = 2.0
    min_reduced_gb_per_s: float = 0.02  # of an all-reduce; a network of 1 Gbit/s has about 0.1
    min_read_mb_per_s: float = 5.0  # of a shard, from every process at once
    min_free_gb: float = 5.0  # for checkpoints
    timeout_s: float = 180.0  # for the processes to find each other

    def run_checks(self) -> list[str]:
        """Return what was found, a line each. Raises TrainingError that names each node's problem."""
        self._join()
        try:
            own = _Findings(host=socket.gethostname(), rank=rank())
            for place in self.data:
                own.note("data", *_read_rate(place, self.min_read_mb_per_s))
            own.note("disk", *_free_disk(self.run, self.min_free_gb))
            own.note("shared directory", *_shared(self.run))
            own.note("device", *_device_speed())
            own.note("network", *_reduce_rate(self.min_reduced_gb_per_s))
            lines, problems = _together(own, self.max_clock_skew_s)
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
        if problems:
            raise TrainingError("preflight: " + "; ".join(problems))
        return lines

    def _join(self) -> None:
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world != self.num_processes:
            raise TrainingError(
                f"{socket.gethostname()}: {world} processes started, {self.num_processes} asked for"
            )
        if world == 1:
            return
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            join_processes(kind, timedelta(seconds=self.timeout_s))
        except (RuntimeError, ValueError) as error:
            master = f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}"
            raise TrainingError(
                f"{socket.gethostname()}: no {world} processes met at {master} in {self.timeout_s:g} s: "
                f"{str(error).splitlines()[0]}"
            ) from error


class _Findings:
    """What one process has found: values by name, and problems."""

    def __init__(self, host: str, rank: int) -> None:
        self.host, self.rank = host, rank
        self.values: dict[str, float] = {}
        self.problems: list[str] = []

    def note(self, name: str, value: float, problem: str | None) -> None:
        """Keep a value, of several the least, and say what is wrong with it."""
        self.values[name] = min(value, self.values.get(name, value))
        if problem:
            self.problems.append(f"{self.host} (rank {self.rank}): {problem}")


def _read_rate(data: Path, least: float) -> tuple[float, str | None]:
    """Return the MB/s of a shard's first bytes; each process takes another shard."""
    try:
        dataset: Dataset = open_pairs(data)
        shard = dataset.manifest.shards[rank() % len(dataset.manifest.shards)]
        start_s = time.perf_counter()
        with dataset.tar_path(shard).open("rb") as file:
            num_bytes = len(file.read(READ_BYTES))
    except (OSError, ValueError) as error:
        return 0.0, f"cannot read {data}: {error}"
    rate = num_bytes / 1e6 / (time.perf_counter() - start_s)
    # A file of some kilobytes tells nothing of a rate.
    slow = rate < least and num_bytes > READ_BYTES / 8
    return rate, f"reads {data} at {rate:.1f} MB/s, less than {least:g}" if slow else None


def _free_disk(run: Path, least_gb: float) -> tuple[float, str | None]:
    try:
        run.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(run).free / 1e9
    except OSError as error:
        return 0.0, f"cannot write to {run}: {error}"
    return free, f"{free:.1f} GB free at {run}, less than {least_gb:g}" if free < least_gb else None


def _shared(run: Path) -> tuple[float, str | None]:
    """Return 1 where this process sees what the first one writes: all must have the same checkpoints."""
    path = run / "preflight.token"
    token = torch.randint(2**62, (1,))
    if num_processes() > 1:
        dist.broadcast(token, 0)
    if is_first():
        with suppress(OSError):  # all then say that they do not see it
            path.write_text(str(token.item()))
    wait_for_all()
    seen = path.is_file() and path.read_text() == str(token.item())
    wait_for_all()
    if is_first():
        path.unlink(missing_ok=True)
    return float(seen), None if seen else f"{run} is not the directory that the first process writes to"


def _device_speed() -> tuple[float, str | None]:
    """Return the 10^12 operations a second of this process's device, or what is wrong with it."""
    if not torch.cuda.is_available():
        wanted = bool(os.environ.get("SLURM_GPUS_ON_NODE") or os.environ.get("NVIDIA_VISIBLE_DEVICES"))
        return 0.0, "has no GPU that torch can use, and was given one" if wanted else None
    if local_rank() >= torch.cuda.device_count():
        return 0.0, f"has {torch.cuda.device_count()} GPUs and no number {local_rank()}"
    device = torch.device("cuda", local_rank())
    torch.cuda.set_device(device)
    free, whole = torch.cuda.mem_get_info(device)
    left = torch.randn(512, 512, dtype=torch.float64)
    if not torch.allclose((left.to(device) @ left.to(device)).cpu(), left @ left):
        return 0.0, f"GPU {local_rank()} multiplies wrongly"
    speed = measure_matmul_tflops(device, torch.bfloat16)
    used = f"GPU {local_rank()} has {free / whole:.0%} of its memory free" if free < 0.9 * whole else None
    return speed, used


def _reduce_rate(least: float) -> tuple[float, str | None]:
    """Return the GB/s that an all-reduce moves through each process (the bus bandwidth of NCCL's tests)."""
    world = num_processes()
    if world == 1:
        return 0.0, None
    device = torch.device("cuda", local_rank()) if torch.cuda.is_available() else torch.device("cpu")
    values = torch.ones(REDUCED_BYTES // 4, device=device)
    dist.all_reduce(values)
    start_s = time.perf_counter()
    for _ in range(NUM_REDUCTIONS):
        dist.all_reduce(values)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    seconds = (time.perf_counter() - start_s) / NUM_REDUCTIONS
    rate = 2 * (world - 1) / world * REDUCED_BYTES / seconds / 1e9
    return rate, f"all-reduce at {rate:.3f} GB/s, less than {least:g}" if rate < least else None


def _together(own: _Findings, max_skew_s: float) -> tuple[list[str], list[str]]:
    """Return the lines of all processes, and all problems, those between processes too."""
    wait_for_all()
    clocks = gather_stacked(torch.tensor(time.time(), dtype=torch.float64)).tolist()
    every: list[Any] = [own]
    if num_processes() > 1:
        every = [None] * num_processes()
        dist.all_gather_object(every, own)
    middle = statistics.median(clocks)
    problems = [problem for findings in every for problem in findings.problems]
    speeds = [findings.values["device"] for findings in every]
    for findings, clock, speed in zip(every, clocks, speeds, strict=True):
        who = f"{findings.host} (rank {findings.rank})"
        if abs(clock - middle) > max_skew_s:
            problems.append(f"{who}: clock is {clock - middle:+.1f} s off the others'")
        if speed < MIN_SHARE_OF_MEDIAN * statistics.median(speeds):
            problems.append(f"{who}: {speed:.0f} TFLOP/s, the others {statistics.median(speeds):.0f}")
    return [_line(findings) for findings in every], problems


def _line(findings: _Findings) -> str:
    values = findings.values
    device = f"{values['device']:.0f} TFLOP/s" if values["device"] else "CPU"
    network = f", all-reduce {values['network']:.2f} GB/s" if values["network"] else ""
    return (
        f"{findings.host} rank {findings.rank}: {device}{network}, data {values['data']:,.0f} MB/s, "
        f"{values['disk']:,.0f} GB free"
    )
