"""The processes of a run, in as few words as the rest of the trainer needs. One process is a world of one.

Rows of several processes are put one after the other in the order of ranks; how many each brings may differ.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.constants import default_pg_timeout
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

Value = TypeVar("Value")


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the other processes where a launcher has started several (torchrun sets WORLD_SIZE); leave at the
    end."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    join_processes(device.type)
    try:
        yield
    finally:
        dist.destroy_process_group()


def join_processes(device_type: str, timeout: timedelta = default_pg_timeout) -> None:
    """Find the processes that a launcher has started together with this one. Raises RuntimeError where they
    do not meet in time."""
    store, own_rank, world = next(rendezvous("env://", timeout=timeout))
    # torchrun keeps one store over its restarts, and in it the addresses of processes that have died.
    attempt = PrefixStore(f"attempt-{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    # Gloo also beside NCCL, for the few numbers that live on the CPU.
    backend = "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo"
    dist.init_process_group(backend, store=attempt, rank=own_rank, world_size=world, timeout=timeout)


def is_first() -> bool:
    """Return whether this is the process that writes what all have done."""
    return rank() == 0


def local_rank() -> int:
    """Return this process's number on its machine, which is that of its GPU."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def wait_for_all() -> None:
    """Return when every process has come here."""
    if num_processes() > 1:
        dist.barrier()


def share_of(number: int, of_rank: int, of_processes: int) -> slice:
    """Return which of `number` items a process takes: shares in the order of ranks, as equal as can be.

    >>> [share_of(10, one, 4) for one in range(4)]
    [slice(0, 2, None), slice(2, 5, None), slice(5, 7, None), slice(7, 10, None)]
    """
    return slice(number * of_rank // of_processes, number * (of_rank + 1) // of_processes)


def num_processes() -> int:
    """Return how many processes take part, 1 where none was started by a launcher."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's number, from 0; also before it has joined the others, and after."""
    return dist.get_rank() if dist.is_initialized() else int(os.environ.get("RANK", "0"))


def gather_rows(rows: Tensor) -> tuple[Tensor, int]:
    """Return the rows of all processes (N, ...), and where this one's begin. No gradient flows back."""
    if num_processes() == 1:
        return rows, 0
    sizes = gather_stacked(torch.tensor(len(rows), device=rows.device)).tolist()
    # Collectives move equal shapes: shorter ones are filled up, and cut again.
    filled = rows.new_zeros(max(sizes), *rows.shape[1:])
    filled[: len(rows)] = rows
    gathered = rows.new_empty(len(sizes), *filled.shape)
    dist.all_gather(list(gathered), filled)
    parts = [part[:size] for part, size in zip(gathered, sizes, strict=True)]
    return torch.cat(parts), sum(sizes[: rank()])


def gather_stacked(values: Tensor) -> Tensor:
    """Return the tensors of all processes, which have one shape, stacked (processes, ...)."""
    if num_processes() == 1:
        return values[None]
    gathered = values.new_empty(num_processes(), *values.shape)
    dist.all_gather(list(gathered), values.contiguous())
    return gathered


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of the tensors of all processes; the given one is overwritten."""
    if num_processes() > 1:
        dist.all_reduce(values)
    return values


def largest_over_processes(values: list[bool]) -> list[int]:
    """Return, for each place, whether any process has it."""
    found = torch.tensor(values, dtype=torch.int64)
    if num_processes() > 1:
        dist.all_reduce(found, dist.ReduceOp.MAX)
    return found.tolist()


def gather_values(value: Value, group: dist.ProcessGroup | None = None) -> list[Value]:
    """Return a plain value of each process, in the order of ranks, in all of them."""
    if num_processes() == 1:
        return [value]
    gathered: list[Value] = [value] * num_processes()
    dist.all_gather_object(gathered, value, group=group)
    return gathered


class Group:
    """All processes once more, for what threads beside the training tell each other. Each makes it, as many
    as the others do and in the same order."""

    def __init__(self) -> None:
        self._group = dist.new_group(backend="gloo") if num_processes() > 1 else None

    def gather(self, value: Value) -> list[Value]:
        """Return what `gather_values` does, without a word on the line of the training."""
        return gather_values(value, self._group)
