"""Words for a shell, and what the programs of schedulers answer."""

import shlex
import subprocess
from collections.abc import Collection, Sequence


def quoted(words: Sequence[str], free: Collection[str]) -> str:
    """Return a line of the shell in which only the words in `free` may hold variables.

    >>> quoted(["run", "--rank=$RANK", "$5"], {"--rank=$RANK"})
    "run --rank=$RANK '$5'"
    """
    return " ".join(word if word in free else shlex.quote(word) for word in words)


def answer(command: Sequence[str], next_step: str, given: str = "") -> str:
    """Return what a program printed when it was `given` a text.

    Raises ValueError with what it said instead, and with the next step where it is not on this machine.
    """
    try:
        done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise ValueError(f"{command[0]} is not on this machine. Next: {next_step}") from None
    if done.returncode:
        raise ValueError(f"{command[0]}: {done.stderr.strip()}. Next: correct it, and submit again")
    return done.stdout.strip()
