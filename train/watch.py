"""What can end a run early: a signal that asks for the machine, a step that hangs, a loss that is none.

Processes that train together must stop and save together: `Stop.agreed` is where they ask each other.
"""

import faulthandler
import math
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import torch

from train.distributed import largest_over_processes

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)  # what Slurm, Kubernetes and preempted machines send
NUM_RECENT = 100
STDERR = 2  # the descriptor itself: sys.stderr may be something else by then


class StoppedError(RuntimeError):
    """The run was asked to stop; its checkpoint is written. The same command goes on from it."""


class Stop:
    """Whether the run was asked to stop, or is due for a checkpoint by the clock."""

    def __init__(self, every_minutes: float | None) -> None:
        self._asked = False
        self._every_s = math.inf if every_minutes is None else 60 * every_minutes
        self._saved_s = time.monotonic()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals as a wish to stop after the step, and not as an end."""
        before = {number: signal.signal(number, self._ask) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self._asked = True

    def agreed(self) -> tuple[bool, bool]:
        """Return whether to stop and whether to save, as soon as any process wants it. All must ask."""
        due = time.monotonic() - self._saved_s >= self._every_s
        stop, save = largest_over_processes([self._asked, due])
        if save:
            self._saved_s = time.monotonic()
        return bool(stop), bool(stop or save)


class Watchdog:
    """Ends the process, with the stacks of all threads on stderr, when a step takes longer than it may."""

    def __init__(self, timeout_s: float | None) -> None:
        self._timeout_s = timeout_s

    def step(self) -> None:
        """Begin to wait for the next step."""
        if self._timeout_s is not None:
            faulthandler.dump_traceback_later(self._timeout_s, exit=True, file=STDERR)

    def __enter__(self) -> "Watchdog":
        self.step()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timeout_s is not None:
            faulthandler.cancel_dump_traceback_later()


class LossGuard:
    """Looks at the losses of all steps, a few at a time, so that the device is seldom waited for."""

    def __init__(self, max_rise: float | None) -> None:
        self._max_rise = math.inf if max_rise is None else max_rise
        self._unseen: list[tuple[int, torch.Tensor]] = []
        self._recent: deque[float] = deque(maxlen=NUM_RECENT)

    def take(self, step: int, loss: torch.Tensor) -> None:
        """Remember a step's loss, which may still be on its way."""
        self._unseen.append((step, loss))

    def first_bad(self) -> tuple[int, float] | None:
        """Return the first step, and its loss, that is no number, or that rises by more than it may above the
        median of the last hundred; None where all are fine."""
        if not self._unseen:
            return None
        steps, losses = zip(*self._unseen, strict=True)
        self._unseen = []
        for step, loss in zip(steps, torch.stack(losses).tolist(), strict=True):
            usual = float(np.median(self._recent)) if len(self._recent) == NUM_RECENT else math.inf
            if not math.isfinite(loss) or loss > usual + self._max_rise:
                return step, loss
            self._recent.append(loss)
        return None
