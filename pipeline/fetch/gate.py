"""How many downloads are in flight: more while they succeed, fewer when names or sockets run short."""

import asyncio
from collections import deque
from enum import Enum

MAX_STRAINED, MAX_SLOW_TO_GROW, MAX_SLOW = 0.02, 0.10, 0.50


class Sign(Enum):
    """What one request says about this machine and its way to the net."""

    GOOD = "good"  # an answer, or a failure that is the other side's alone
    SLOW = "slow"  # no answer in time: theirs or ours
    STRAINED = "strained"  # ours: no answer about a name, no socket to be had


class Gate:
    """Lets at most `limit` in; the limit follows the signs within its bounds.

    It is looked at after each window of `limit` requests, so that one window shows what the last change did.
    """

    def __init__(self, start: int, least: int, most: int) -> None:
        self.limit, self._least, self._most = start, least, most
        self._num_in = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._was_full = False
        self._signs = dict.fromkeys(Sign, 0)

    async def enter(self) -> None:
        """Wait until there is room; whoever enters must `leave`."""
        if self._num_in < self.limit and not self._waiting:
            self._num_in += 1
            return
        self._was_full = True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()
            raise

    def leave(self) -> None:
        """Make room for another."""
        self._num_in -= 1
        self._let_in()

    def note(self, sign: Sign) -> None:
        """Count a request's sign; move the limit at the end of a window."""
        self._signs[sign] += 1
        num = sum(self._signs.values())
        if num < self.limit:
            return
        if self._signs[Sign.STRAINED] > MAX_STRAINED * num or self._signs[Sign.SLOW] > MAX_SLOW * num:
            self.limit = max(self._least, self.limit * 2 // 3)
        elif self._was_full and self._signs[Sign.SLOW] <= MAX_SLOW_TO_GROW * num:
            self.limit = min(self._most, self.limit + max(1, self.limit // 8))
            self._let_in()
        self._signs, self._was_full = dict.fromkeys(Sign, 0), False

    def _let_in(self) -> None:
        while self._waiting and self._num_in < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._num_in += 1
                turn.set_result(None)
