"""Several processes that train together on this machine, as a launcher would start them."""

import multiprocessing
import os
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes


def run_together(num_processes: int, work: Callable[..., Any], *arguments: Any) -> None:
    """Call `work(*arguments)` in so many processes that can find each other; raise what any raises."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # Torch is loaded once for all of them.
    multiprocessing.get_context("forkserver").set_forkserver_preload(["torch", "tests.processes"])
    given = (num_processes, port, work, arguments)
    start_processes(_take_part, args=given, nprocs=num_processes, start_method="forkserver")


def _take_part(
    rank: int, num_processes: int, port: int, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(num_processes)}
    torch.set_num_threads(1)
    work(*arguments)
