"""What somebody at the terminal sees of a run: a bar drawn anew, or where nobody looks, plain lines."""

import sys
import time
from typing import Any

from tqdm import tqdm

_QUIET_S = 10.0  # between two lines of a log file


class Panel:
    """Of a run's steps, from `first_step` on; shows nothing where it is not `shown`."""

    def __init__(self, *, first_step: int, num_steps: int, shown: bool) -> None:
        self._num_steps, self._shown = num_steps, shown
        self._next_line_s = 0.0
        self._note = ""
        self._bar: tqdm[None] | None = None
        if shown and sys.stderr.isatty():
            self._bar = tqdm(total=num_steps, initial=first_step, unit="step", mininterval=0.2)

    def step(self, step: int, figures: dict[str, Any], bottleneck: str) -> None:
        """Show the figures of a step; the bottleneck where it is another than before."""
        line = describe(figures)
        kind = bottleneck.partition(":")[0]
        if self._bar is not None:
            self._bar.set_postfix_str(line, refresh=False)
            self._bar.update(step - self._bar.n)
            if kind != self._note:
                self.say(bottleneck)
            self._note = kind
        elif time.monotonic() >= self._next_line_s or step == self._num_steps:
            self._next_line_s = time.monotonic() + _QUIET_S
            self.say(f"step {step}/{self._num_steps}: {line}; {bottleneck}")

    def say(self, line: str) -> None:
        """Show a line of its own."""
        if self._bar is not None:
            self._bar.write(line, file=sys.stderr)
        elif self._shown:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def describe(figures: dict[str, Any]) -> str:
    """Return the figures of a step in one line.

    >>> describe({"loss": 2.5, "samples_per_s": 571.3, "mfu": 0.31, "data_wait": 0.04, "memory_gb": 1.25})
    'loss 2.500, 571 samples/s, MFU 31%, data wait 4%, 1.2 GB'
    """
    return (
        f"loss {figures['loss']:.3f}, {figures['samples_per_s']:.0f} samples/s, MFU {figures['mfu']:.0%}, "
        f"data wait {figures['data_wait']:.0%}, {figures['memory_gb']:.1f} GB"
    )
