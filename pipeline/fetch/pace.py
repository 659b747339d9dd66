"""How often a host is asked: so many requests at once, so much time between two, and pauses it asks for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass
class _Host:
    slots: asyncio.Semaphore
    next_start: float = 0.0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pacer:
    """Per-host limits of one worker. A host's pairs all go to one worker, so they hold for the build."""

    def __init__(self, per_host_concurrency: int, per_host_interval_s: float) -> None:
        self._concurrency = per_host_concurrency
        self._interval_s = per_host_interval_s
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def slot(self, host: str) -> AsyncIterator[None]:
        """Wait for this host's turn and hold one of its slots."""
        state = self._state(host)
        async with state.slots:
            async with state.turn:
                while (wait_s := state.next_start - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)  # a pause() meanwhile moves next_start: look again
                state.next_start = time.monotonic() + self._interval_s
            yield

    def pause(self, host: str, seconds: float) -> None:
        """Start no request to this host for so long."""
        state = self._state(host)
        state.next_start = max(state.next_start, time.monotonic() + seconds)

    def _state(self, host: str) -> _Host:
        if host not in self._hosts:
            self._hosts[host] = _Host(asyncio.Semaphore(self._concurrency))
        return self._hosts[host]
