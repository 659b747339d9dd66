"""The command that every launcher starts somewhere."""

import sys
from collections.abc import Sequence


def fit_command(fit_arguments: Sequence[str]) -> list[str]:
    """Return the words that run `fit` with these arguments under this Python."""
    return [sys.executable, "-m", "train", "fit", *fit_arguments]
