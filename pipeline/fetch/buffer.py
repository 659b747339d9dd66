"""Bytes of bodies that are still coming in: so many at once in a worker, whatever the hosts send."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType


class Buffer:
    """Room for bytes that all downloads of a worker share.

    One download may always go on, also where there is no room: so one after the other comes to its end, and
    no two can wait for each other. What is held is at most the room and one whole body.

    `ahead` waits for room among the bodies that have come in, and wait for what is done with them next: while
    there is none, nothing more is read.
    """

    def __init__(self, num_bytes: int, ahead: Callable[[], Awaitable[object]] | None = None) -> None:
        self.free, self.ahead = num_bytes, ahead
        self.overdrawn: Hold | None = None
        self.waiting: deque[tuple[asyncio.Future[None], Hold, int]] = deque()

    def let_in(self) -> None:
        """Let those go on who wait, the first first, as far as there is room."""
        while self.waiting:
            turn, hold, num_bytes = self.waiting[0]
            if not turn.done():
                if not hold.take(num_bytes):
                    return
                turn.set_result(None)
            self.waiting.popleft()


class Hold:
    """What one download holds of a buffer, until the end of a with statement."""

    __slots__ = ("_buffer", "_num_bytes")

    def __init__(self, buffer: Buffer) -> None:
        self._buffer, self._num_bytes = buffer, 0

    async def grow(self, num_bytes: int) -> None:
        """Wait for room for so many more bytes."""
        if self._buffer.ahead:
            await self._buffer.ahead()
        # The one that overdraws passes by the queue: all in it wait for its end.
        if self._buffer.overdrawn is self or (not self._buffer.waiting and self.take(num_bytes)):
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer.waiting.append((turn, self, num_bytes))
        self._buffer.let_in()
        await turn

    def take(self, num_bytes: int) -> bool:
        """Take room if there is some, or nobody else overdraws; return whether."""
        buffer = self._buffer
        if buffer.free >= num_bytes:
            buffer.free -= num_bytes
            self._num_bytes += num_bytes
        elif buffer.overdrawn is None:
            buffer.overdrawn = self
        else:
            return False
        return True

    def __enter__(self) -> "Hold":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._buffer.free += self._num_bytes
        if self._buffer.overdrawn is self:
            self._buffer.overdrawn = None
        self._buffer.let_in()
