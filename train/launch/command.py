"""The command that every launcher starts somewhere."""

import sys
from collections.abc import Sequence


def fit_command(fit_arguments: Sequence[str], num_processes: int = 1, max_restarts: int = 0) -> list[str]:
    """Return the words that run `fit` with these arguments under this Python, in so many processes here.

    Several are watched by torchrun, which starts all of them again when one dies, `max_restarts` times.
    """
    torchrun = ["-m", "torch.distributed.run", "--standalone"]
    several = [*torchrun, f"--nproc-per-node={num_processes}", f"--max-restarts={max_restarts}"]
    # torchrun takes what begins like a flag of its own for one, unless two dashes come before.
    start = [*several, "-m", "--"] if num_processes > 1 else ["-m"]
    return [sys.executable, *start, "train", "fit", *fit_arguments]
