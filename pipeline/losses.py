"""What becomes of a command that has lost a worker: it goes on by itself, or it ends with a line.

Beam's runner hands the bundle of a lost worker to nobody, and waits for it for ever. So this process ends the
workers that are left, and becomes the same command again (exec): the kernel frees its locks, and what is not
whole is done, as in every rerun. Its number, its terminal and who waits for it stay the same; what it must
know of its losses stands in its environment.
"""

import os
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec
from tqdm import tqdm

from manifests.protocols import store_errors
from manifests.storage import files_below

MAX_FRUITLESS = 3  # losses in a row without a new whole part: memory that does not suffice kills every time
NOTE = "OPENWIT_LOSSES"
LOST_STATUS = 1


@dataclass(kw_only=True)
class Losses:
    """What a command has lost so far."""

    num_fruitless: int = 0
    num_whole: int = -1
    """Whole parts when a worker was last lost."""
    answered: set[str] = field(default_factory=set)
    """Pools that have answered: one that never has is a mistake, and no loss."""
    pools: set[str] = field(default_factory=set)
    """Those that do not answer any more."""

    def count(self, num_whole: int) -> None:
        """Count one more."""
        self.num_fruitless = 1 if num_whole > self.num_whole else self.num_fruitless + 1
        self.num_whole = num_whole


@dataclass(kw_only=True)
class _Command:
    """The command that this process is, if it is one that may begin again."""

    name: str = "build"
    folders: tuple[Path, ...] = ()
    losses: Losses | None = None


_command = _Command()
_ending = threading.Lock()


def begin_again(name: str) -> None:
    """Let this process become its command line again when it loses a worker: it is this command, and nothing
    else that would be lost with it."""
    _command.name = name
    _command.losses = msgspec.json.decode(os.environ.get(NOTE, "{}"), type=Losses)


def keep_in(*folders: Path) -> None:
    """Say where the command leaves what is whole."""
    _command.folders = folders


def losses() -> Losses:
    """Return what this command has lost so far."""
    return Losses() if _command.losses is None else _command.losses


def owner() -> str:
    """Return by which name pools know this command's workers, and find those of a run that was killed: that
    of the folder which it holds for itself."""
    if _command.losses is None or not _command.folders:
        return uuid.uuid4().hex
    return str(_command.folders[0].absolute())


def go_on(problem: str, goes_on_with: str, end_workers: Callable[[], None]) -> NoReturn:
    """Begin this command again, in this process, after a loss; end it where that is of no use.

    `goes_on_with`: who is left, in words; empty where nobody is. `end_workers` returns when none is alive.
    """
    with _ending:  # whoever else finds something lost waits here, and ends with this process
        known = losses()
        known.count(num_whole(_command.folders))
        if _command.losses is None or not goes_on_with or known.num_fruitless >= MAX_FRUITLESS:
            times = f", {known.num_fruitless} times without a new part" if known.num_fruitless > 1 else ""
            _stop(f"{problem}{times}")
        say(f"{problem}; goes on with {goes_on_with}, what was not whole is done again")
        end_workers()
        os.environ[NOTE] = msgspec.json.encode(asdict(known)).decode()
        sys.stdout.flush()
        try:
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
        except OSError as error:
            _stop(f"{problem}, and {sys.executable} cannot be run again ({error.strerror})")


def stop(problem: str) -> NoReturn:
    """End this command, whose done work is kept."""
    with _ending:
        _stop(problem)


def _stop(problem: str) -> NoReturn:
    message = f"{_command.name} stopped: {problem}. What is done is kept; run the same command again.\n"
    sys.stdout.flush()
    os.write(2, message.encode())
    os._exit(LOST_STATUS)  # other threads wait for the lost worker


def say(message: str) -> None:
    """Print a line about a loss, beside the progress bars."""
    tqdm.write(f"{_command.name}: {message}", file=sys.stderr)
    sys.stderr.flush()


def num_whole(folders: tuple[Path, ...]) -> int:
    """Return how many whole parts and ended phases are in folders; -1 where they cannot be seen now."""
    try:
        names = [path.name for folder in folders for path in files_below(folder)]
    except store_errors():
        return -1
    return sum(
        name.startswith("_done") or (name.endswith(".parquet") and not name.startswith(".")) for name in names
    )
