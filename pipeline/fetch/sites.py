"""What is remembered of each site: its robots.txt and what it reserves, asked for once in their lifetime."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from multidict import CIMultiDictProxy
from yarl import URL

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Answer, Failure
from pipeline.fetch.robots import MAX_ROBOTS_BYTES, RobotsRules
from pipeline.fetch.tdm import MAX_TDM_BYTES, TDM_PATH, Reservations

MAX_ORIGINS = 10_000
DAY_S = 86_400.0  # RFC 9309, 2.4: a copy should not be used for longer
SHORTEST_S, UNREADABLE_S = 600.0, 3_600.0
# A host that answers for its robots.txt, but with nothing that can be read as rules, forbids all.
UNREADABLE = {Reason.HTTP_ERROR, Reason.RATE_LIMITED, Reason.TOO_MANY_BYTES, Reason.TOO_MANY_REDIRECTS}
UNREACHED = {Reason.CONNECTION_FAILED, Reason.TIMEOUT}

T = TypeVar("T")
Get = Callable[[str, int], Awaitable[Answer | Failure]]


class Remembered(Generic[T]):
    """Values by key, each read once for all who want it, for as long as it lives."""

    def __init__(self, read: Callable[[str], Awaitable[tuple[T, float]]], max_keys: int) -> None:
        """`read` returns a key's value and its lifetime in seconds."""
        self._read, self._max_keys = read, max_keys
        self._tasks: dict[str, asyncio.Task[tuple[T, float]]] = {}

    async def get(self, key: str) -> T:
        """Return the value of a key."""
        task = self._tasks.get(key)
        if task is None or (task.done() and task.result()[1] < time.monotonic()):
            if len(self._tasks) >= self._max_keys:
                del self._tasks[next(iter(self._tasks))]  # who awaits it holds on to it
            self._tasks.pop(key, None)
            task = self._tasks[key] = asyncio.create_task(self._read_until(key))
        value, _ = task.result() if task.done() else await asyncio.shield(task)
        return value

    async def _read_until(self, key: str) -> tuple[T, float]:
        value, lifetime_s = await self._read(key)
        return value, time.monotonic() + lifetime_s


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a site says about one of its URLs."""

    drop: Drop | None
    robots: str
    reserved: bool | None = None
    """What its TDM file says of the URL; a header of the answer has the last word."""


NO_RULES, ALLOWED = Verdict(None, "no rules"), Verdict(None, "allowed")


class Sites:
    """The rules of all sites that a worker asks."""

    def __init__(self, get: Get, read_tdm_file: bool) -> None:
        """`get` fetches a URL of at most so many bytes, within the limits of all downloads."""
        self._get, self._read_tdm_file = get, read_tdm_file
        self._robots = Remembered[RobotsRules | Drop](self._read_robots, MAX_ORIGINS)
        self._reservations = Remembered[Reservations](self._read_reservations, MAX_ORIGINS)

    async def check(self, url: URL, origin: str) -> Verdict:
        """Return what a URL's site, its origin, says about it; it is asked where nothing is remembered."""
        rules = await self._robots.get(origin)
        if isinstance(rules, Drop):
            return Verdict(rules, "unreadable")
        drop = rules.check(str(url))
        if drop is not None:
            return Verdict(drop, "disallowed")
        verdict = NO_RULES if rules.absent else ALLOWED
        if self._read_tdm_file:
            reserved = (await self._reservations.get(origin)).reserved(url)
            if reserved is not None:
                return replace(verdict, reserved=reserved)
        return verdict

    async def _read_robots(self, origin: str) -> tuple[RobotsRules | Drop, float]:
        """Read an origin's rules; a host that cannot be reached for them is not asked for pictures."""
        answer = await self._get(f"{origin}/robots.txt", MAX_ROBOTS_BYTES)
        if isinstance(answer, Answer):
            return RobotsRules(answer.status, answer.body), lifetime_s(answer.headers)
        drop = answer.drop
        if drop.reason in UNREADABLE:
            return Drop(Reason.ROBOTS_DISALLOWED, f"robots.txt: {drop.detail}"), UNREADABLE_S
        if answer.is_hosts and answer.passing and drop.reason in UNREACHED:
            return Drop(Reason.HOST_DOWN, f"robots.txt: {drop.detail}"), UNREADABLE_S
        return Drop(drop.reason, f"robots.txt: {drop.detail}"), UNREADABLE_S

    async def _read_reservations(self, origin: str) -> tuple[Reservations, float]:
        """Read what an origin reserves; a file that is not to be had, or that robots.txt forbids, reserves
        nothing."""
        rules = await self._robots.get(origin)
        if isinstance(rules, Drop) or rules.check(origin + TDM_PATH):
            return Reservations(), SHORTEST_S
        answer = await self._get(origin + TDM_PATH, MAX_TDM_BYTES)
        if isinstance(answer, Answer) and answer.status == 200:
            return Reservations.parse(answer.body), lifetime_s(answer.headers)
        return Reservations(), DAY_S


def lifetime_s(headers: CIMultiDictProxy[str]) -> float:
    """Return how long rules may be remembered: as Cache-Control says, at least ten minutes, at most a day."""
    max_age = re.search(r"(?<![\w-])max-age=(\d{1,9})", ",".join(headers.getall("Cache-Control", [])).lower())
    return min(DAY_S, max(SHORTEST_S, float(max_age[1]))) if max_age else DAY_S
