"""What every scheduler is asked for: machines, time, an environment, and the `fit` that runs there."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

# What Kubernetes takes for the name of a Job and its pods.
NAME = re.compile(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SECRET = re.compile(r"(?i)(secret|token|passw|credential|api_?key|access_?key)")


@dataclass(frozen=True, kw_only=True)
class Job:
    """Machines and time for one training run, the same in all of its processes."""

    name: str = "openwit"  # lower-case letters, digits and dashes
    num_nodes: int = 1
    gpus_per_node: int = 1  # one process for each; 0 trains on CPUs
    processes_per_node: int | None = None  # on CPUs; None: one
    cpus_per_process: int = 8
    memory_gb: int | None = None  # of a node; None: what the cluster gives
    hours: float | None = None  # until the run is stopped; None: what the cluster gives
    save_s: int = 180  # before that, for the last checkpoint
    max_restarts: int = 3  # after a crash; a run that was asked to stop goes on as often as it is
    environment: tuple[str, ...] = ()  # NAME=VALUE, in the job file for all to read
    secrets: tuple[str, ...] = ()  # names of variables whose values stand in no file of ours
    preflight: bool = True  # look at nodes, network, data and disk before each start
    dry_run: bool = False  # print what would be submitted, and submit nothing

    def __post_init__(self) -> None:
        _require(
            NAME.fullmatch(self.name), "name", self.name, "lower-case letters, digits and dashes, up to 52"
        )
        _require(self.num_nodes >= 1, "num_nodes", self.num_nodes, "at least 1")
        _require(self.gpus_per_node >= 0, "gpus_per_node", self.gpus_per_node, "0 or more")
        _require(self.cpus_per_process >= 1, "cpus_per_process", self.cpus_per_process, "at least 1")
        given = self.processes_per_node
        _require(given is None or given >= 1, "processes_per_node", given, "at least 1")
        fits = given is None or not self.gpus_per_node or given == self.gpus_per_node
        _require(fits, "processes_per_node", given, f"{self.gpus_per_node}, one for each GPU, or left out")
        _require(self.memory_gb is None or self.memory_gb >= 1, "memory_gb", self.memory_gb, "at least 1")
        _require(self.save_s >= 0, "save_s", self.save_s, "0 or more")
        long_enough = self.hours is None or 3600 * self.hours > self.save_s
        _require(long_enough, "hours", self.hours, f"more than save_s, {self.save_s} s")
        _require(self.max_restarts >= 0, "max_restarts", self.max_restarts, "0 or more")
        for name in self.secrets:
            _require(VARIABLE.fullmatch(name), "secrets", name, "the name of a variable")
        self.variables()

    def variables(self) -> dict[str, str]:
        """Return the environment as names and values."""
        found = {}
        for line in self.environment:
            name, separator, value = line.partition("=")
            _require(separator and VARIABLE.fullmatch(name), "environment", line, "NAME=VALUE")
            if SECRET.search(name):
                raise ValueError(
                    f"environment holds {name}, which looks like a secret and would stand in the job file. "
                    f"Next: --secrets {name}"
                )
            found[name] = value
        return found

    @property
    def num_processes_per_node(self) -> int:
        """Return how many processes train on each node."""
        return self.gpus_per_node or self.processes_per_node or 1

    @property
    def num_processes(self) -> int:
        """Return how many processes train together."""
        return self.num_nodes * self.num_processes_per_node

    def settings(self) -> dict[str, str]:
        """Return the variables of every process; those given by hand come last, and win."""
        own = {"OMP_NUM_THREADS": str(self.cpus_per_process), "PYTHONUNBUFFERED": "1"}
        if self.gpus_per_node:
            # A rank that is lost ends the others, and says why.
            own |= {"NCCL_DEBUG": "WARN", "TORCH_NCCL_ASYNC_ERROR_HANDLING": "3"}
        return own | self.variables()


def value_of(flag: str, fit_arguments: Sequence[str]) -> str:
    """Return what `fit`'s arguments give for a flag. Raises ValueError where they do not.

    >>> value_of("--run", ["demo", "--data", "d", "--run=r"])
    'r'
    """
    for word, after in zip(fit_arguments, [*fit_arguments[1:], ""], strict=True):
        if word == flag and after:
            return after
        if word.startswith(f"{flag}="):
            return word.removeprefix(f"{flag}=")
    raise ValueError(f"the run to submit has no {flag}. Next: give it after the two dashes, with the recipe")


def values_of(flag: str, fit_arguments: Sequence[str]) -> list[str]:
    """Return all that `fit`'s arguments give for a flag that takes several. Raises ValueError as `value_of`.

    >>> values_of("--data", ["demo", "--data", "d", "e", "--run", "r"])
    ['d', 'e']
    """
    first = value_of(flag, fit_arguments)
    if flag not in fit_arguments:
        return [first]
    after = fit_arguments[fit_arguments.index(flag) + 1 :]
    return list(takewhile(lambda word: not word.startswith("--"), after))


def run_of(fit_arguments: Sequence[str]) -> Path:
    """Return the run's directory as every node sees it."""
    return Path(value_of("--run", fit_arguments)).absolute()


def _require(holds: object, name: str, value: object, rule: str) -> None:
    if not holds:
        flag = name.replace("_", "-")
        raise ValueError(f"{name} is {value}, must be {rule}. Next: pass another --{flag}")
