"""Several processes that train together on this machine, as a launcher would start them."""

import multiprocessing
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes

# By the process from which all others are forked: loading these takes each of them some two seconds.
LOADED_ONCE = ("train.__main__", "tests.tiny_train", "tests.fakes", "pytest", "tests.processes")


def run_together(num_processes: int, work: Callable[..., Any], *arguments: Any) -> None:
    """Call `work(*arguments)` in so many processes that can find each other; raise what any raises."""
    port = free_port()
    multiprocessing.get_context("forkserver").set_forkserver_preload([*LOADED_ONCE])
    given = (num_processes, port, work, arguments)
    start_processes(_take_part, args=given, nprocs=num_processes, start_method="forkserver")


def free_port() -> int:
    """Return a port that nothing listens at, below those that outgoing connections are given: between the
    question and its use, none of these takes it."""
    while True:
        port = 20_000 + secrets.randbelow(10_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _take_part(
    rank: int, num_processes: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(num_processes)}
    torch.set_num_threads(1)
    work(*arguments)
