"""A run on this machine, in one process or several, started again when it dies of something other than its
own mistake.
"""

import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from train.launch.command import fit_command


@dataclass(frozen=True, kw_only=True)
class Local:
    """Run `fit` here, and again from its newest checkpoint if it is killed.

    Example: python -m train submit local --max-restarts 3 -- demo --data runs/demo/dataset --run runs/r
    """

    num_processes: int = 1  # one for each GPU; the batch is shared among them, and the result is the same
    max_restarts: int = 0  # of one process after a signal only: a run that failed by itself would fail again
    dry_run: bool = False  # print what would be run, and run nothing

    def command(self, fit_arguments: Sequence[str]) -> list[str]:
        """Return what `submit` runs."""
        return fit_command(fit_arguments, self.num_processes, self.max_restarts)

    def submit(self, fit_arguments: Sequence[str]) -> int:
        """Return fit's exit status; 128 + the signal's number where one ended it for good."""
        command = self.command(fit_arguments)
        if self.dry_run:
            print(shlex.join(command))
            return 0
        for _ in range(self.max_restarts + 1):
            status = subprocess.run(command, check=False).returncode
            if status >= 0:
                return status
            print(f"fit was ended by {signal.Signals(-status).name}", file=sys.stderr)
        return 128 - status
