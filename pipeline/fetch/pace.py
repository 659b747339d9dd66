"""How often hosts and addresses are asked: how many requests at once, what time between two, what pauses."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_IDLE = 10_000


@dataclass(slots=True)
class _Lane:
    """A host, or an address."""

    free: int
    interval_s: float
    next_start: float = 0.0
    paused_until: float = 0.0
    num_users: int = 0
    waiting: "deque[asyncio.Future[None]]" = field(default_factory=deque)

    async def take(self) -> None:
        """Wait for a slot; whoever takes it must `leave`."""
        if self.free > 0:
            self.free -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        try:
            await turn  # set by leave(), which hands its slot over
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._hand_over()
            raise

    def leave(self) -> None:
        self._hand_over()

    def _hand_over(self) -> None:
        while self.waiting:
            turn = self.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.free += 1

    def idle(self, now: float) -> bool:
        return not self.num_users and self.next_start <= now and self.paused_until <= now


class Pacer:
    """Limits per host and per address of one worker.

    A host's pairs all go to one worker, so its limits hold for the build. Those of an address hold for the
    names on it that this worker asks.
    """

    def __init__(self, per_host_concurrency: int, per_host_interval_s: float, hosts_per_address: int) -> None:
        self._of_host = (per_host_concurrency, per_host_interval_s)
        self._of_address = (
            per_host_concurrency * hosts_per_address,
            per_host_interval_s / hosts_per_address,
        )
        self._lanes: dict[str, _Lane] = {}
        self._forget_at = MAX_IDLE

    def __len__(self) -> int:
        """Return how many hosts and addresses are remembered."""
        return len(self._lanes)

    async def enter(self, host: str, address: str) -> None:
        """Wait for the turn of this host at this address, and hold one slot of each until `leave`."""
        of_host = self._used(host, self._of_host)
        of_address = self._used(f"@{address}", self._of_address)
        try:
            await of_host.take()
            try:
                await of_address.take()
                try:
                    await _start(of_host, of_address)
                except asyncio.CancelledError:
                    of_address.leave()
                    raise
            except asyncio.CancelledError:
                of_host.leave()
                raise
        except asyncio.CancelledError:
            of_host.num_users -= 1
            of_address.num_users -= 1
            raise

    def leave(self, host: str, address: str) -> None:
        """Give the slots back."""
        for name in (host, f"@{address}"):
            lane = self._lanes[name]
            lane.num_users -= 1
            lane.leave()

    def pause(self, host: str, seconds: float) -> None:
        """Start no request to this host for so long."""
        lane = self._lane(host, self._of_host)
        lane.paused_until = max(lane.paused_until, time.monotonic() + seconds)

    def num_hosts_waiting(self) -> int:
        """Return how many hosts have requests of which none may start just now."""
        now = time.monotonic()
        return sum(
            1
            for name, lane in self._lanes.items()
            if name[0] != "@"
            and lane.num_users
            and (lane.waiting or max(lane.next_start, lane.paused_until) > now)
        )

    def _used(self, name: str, limits: Sequence[float]) -> _Lane:
        lane = self._lane(name, limits)
        lane.num_users += 1  # from here on it is not forgotten
        return lane

    def _lane(self, name: str, limits: Sequence[float]) -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            if len(self._lanes) >= self._forget_at:
                self._forget_idle()
            concurrency, interval_s = limits
            lane = self._lanes[name] = _Lane(int(concurrency), interval_s)
        return lane

    def _forget_idle(self) -> None:
        """Forget hosts that nobody asks: millions of them pass by in a long build."""
        now = time.monotonic()
        for name in [name for name, lane in self._lanes.items() if lane.idle(now)]:
            del self._lanes[name]
        # Where most are in use, not to look through all of them at each new one.
        self._forget_at = max(MAX_IDLE, 2 * len(self._lanes))


async def _start(of_host: _Lane, of_address: _Lane) -> None:
    """Wait for a time that suits both, and take it for both."""
    while True:
        now = time.monotonic()
        start = max(of_host.next_start, of_host.paused_until, of_address.next_start)
        if start <= now:
            of_host.next_start = now + of_host.interval_s
            of_address.next_start = now + of_address.interval_s
            return
        # Nothing is reserved: a host that rests for long must not hold up the others at its address.
        await asyncio.sleep(start - now)
