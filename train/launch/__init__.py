"""Where a training run is started, by name. A new place is a file here with a frozen dataclass, one line
below, and a test.

The dataclass's fields become the flags of `python -m train submit <name>`.
"""

from collections.abc import Sequence
from typing import Protocol

from train.launch.kubernetes import Kubernetes
from train.launch.local import Local
from train.launch.skypilot import Skypilot
from train.launch.slurm import Slurm


class Launcher(Protocol):
    """What `python -m train submit` asks of a launcher."""

    @property
    def dry_run(self) -> bool:
        """Whether nothing is submitted, only shown."""

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return the exact words that `submit` runs (see `train.launch.command`)."""

    def submit(self, fit_arguments: Sequence[str]) -> int:
        """Start `python -m train fit` with these arguments; return the exit status of what was started."""


LAUNCHERS: dict[str, type[Launcher]] = {
    "local": Local,
    "slurm": Slurm,
    "kubernetes": Kubernetes,
    "skypilot": Skypilot,
}
