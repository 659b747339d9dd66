"""The command that every launcher starts somewhere."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Nodes:
    """Which of several machines this is, and where the first one listens."""

    num_nodes: int
    node_rank: str  # a number, or what the shell makes one of
    address: str
    port: int = 29500


def fit_command(
    fit_arguments: Sequence[str],
    num_processes: int = 1,
    max_restarts: int = 0,
    *,
    nodes: Nodes | None = None,
    python: str = sys.executable,
    save_s: int = 30,
) -> list[str]:
    """Return the words that run `fit` in so many processes on this machine, or on each of several nodes.

    Several are watched by torchrun, which starts all of them again when one dies, `max_restarts` times, and
    gives them `save_s` seconds when it is told to end.
    """
    return [*_started(num_processes, max_restarts, nodes, python, save_s), "train", "fit", *fit_arguments]


def preflight_command(
    data: Sequence[str],
    run: str,
    num_processes: int,
    nodes: Nodes | None = None,
    python: str = sys.executable,
) -> list[str]:
    """Return the words that look at this machine, or at each of several nodes, as `fit` will be started."""
    in_all = num_processes * (nodes.num_nodes if nodes else 1)
    asked = ["--data", *data, "--run", run, "--num-processes", str(in_all)]
    return [*_started(num_processes, 0, nodes, python, 30), "train", "preflight", *asked]


def _started(
    num_processes: int, max_restarts: int, nodes: Nodes | None, python: str, save_s: int
) -> list[str]:
    if num_processes == 1 and nodes is None:
        return [python, "-m"]
    torchrun = [python, "-m", "torch.distributed.run", f"--nproc-per-node={num_processes}"]
    if nodes is None:
        torchrun.append("--standalone")
    else:
        torchrun += [f"--nnodes={nodes.num_nodes}", f"--node-rank={nodes.node_rank}"]
        torchrun += [f"--master-addr={nodes.address}", f"--master-port={nodes.port}"]
    # torchrun takes what begins like a flag of its own for one, unless two dashes come before.
    return [*torchrun, f"--max-restarts={max_restarts}", f"--shutdown-timeout={save_s}", "-m", "--"]
