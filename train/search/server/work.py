"""Work that takes a processor, in threads: a few at once, some that wait, and the others are told to come
back. So memory has a bound, however many ask.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class BusyError(RuntimeError):
    """There is more to do than may wait."""


class Work:
    """A few threads and a queue of bounded length."""

    def __init__(self, num_threads: int, max_waiting: int) -> None:
        self._threads = ThreadPoolExecutor(num_threads, thread_name_prefix="search")
        self._most = num_threads + max_waiting
        self._there = 0

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken."""
        return self._there >= self._most

    async def do(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns. Raises BusyError where too much waits already."""
        if self.is_full:
            raise BusyError
        self._there += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, function)
        # Counted until it is done, also where its client has gone away meanwhile.
        future.add_done_callback(lambda _: self._done())
        return await asyncio.shield(future)

    def _done(self) -> None:
        self._there -= 1

    def close(self) -> None:
        """Take no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
