"""Names to addresses: asked for on threads of their own, checked before anyone sees them, remembered.

One `Names` serves a process: names are asked for off the event loop, no name twice at a time, and what is
remembered is bounded in number and time.
"""

import asyncio
import functools
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult

from filters.reasons import Drop, Reason
from pipeline.fetch.guard import AddressRefusedError, ConnectTo, check_address

THREADS = 32
MAX_NAMES = 20_000
LIFETIME_S = 600.0
NEGATIVE_LIFETIME_S = 30.0
# The answers that say "there is no such name"; any other failure is no answer and may pass.
NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}

Lookup = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Found:
    """Where a name may be reached: public addresses, the first of which is used."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotFound:
    """A name without an address that may be reached. `passing`: another try may help."""

    drop: Drop
    passing: bool


def system_lookup(host: str) -> list[str]:
    """Return a name's addresses as this machine's resolver gives them, IPv4 first. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # stable: the resolver's order within a family
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """The names that a process has asked for."""

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        *,
        lifetime_s: float = LIFETIME_S,
        negative_lifetime_s: float = NEGATIVE_LIFETIME_S,
        max_names: int = MAX_NAMES,
    ) -> None:
        self._lookup, self._max_names = lookup, max_names
        self._lifetime_s, self._negative_lifetime_s = lifetime_s, negative_lifetime_s
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="names")
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, Found | NotFound]] = {}
        self._asked: dict[str, Future[Found | NotFound]] = {}
        self.num_asked = 0
        self.num_failed = 0  # questions that got no answer; "there is no such name" is an answer

    async def find(self, host: str, timeout_s: float) -> Found | NotFound:
        """Return where `host` may be reached, from memory where it is there."""
        expires, known = self._known.get(host, (0.0, None))
        if known is not None and expires > time.monotonic():
            return known
        if (asked := self._asked.get(host)) is None:
            self.num_asked += 1
            asked = self._asked[host] = self._threads.submit(self._ask, host)
            asked.add_done_callback(lambda _: self._asked.pop(host, None))
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.shield(asyncio.wrap_future(asked))
        except TimeoutError:
            self.num_failed += 1
            drop = Drop(Reason.NAME_NOT_RESOLVED, f"no answer about {host} in time")
            return NotFound(drop, passing=True)

    def try_next(self, host: str) -> None:
        """Let another of the host's addresses be the first: the one that was could not be reached."""
        with self._lock:
            expires, known = self._known.get(host, (0.0, None))
            if isinstance(known, Found):
                self._known[host] = (expires, Found((*known.addresses[1:], known.addresses[0])))

    def _ask(self, host: str) -> Found | NotFound:
        try:
            result = _checked(host, self._lookup(host))
        except (OSError, UnicodeError) as error:
            passing = isinstance(error, OSError) and error.errno not in NO_SUCH_NAME
            self.num_failed += passing
            result = NotFound(Drop(Reason.NAME_NOT_RESOLVED, f"no address for {host}"), passing)
        self._remember(host, result)
        return result

    def _remember(self, host: str, result: Found | NotFound) -> None:
        lifetime_s = self._lifetime_s if isinstance(result, Found) else self._negative_lifetime_s
        with self._lock:
            self._known.pop(host, None)
            if len(self._known) >= self._max_names:
                del self._known[next(iter(self._known))]  # the one that was asked for longest ago
            self._known[host] = (time.monotonic() + lifetime_s, result)


def _checked(host: str, addresses: list[str]) -> Found | NotFound:
    """Keep the public addresses; the check is here, so that nobody can see an unchecked one."""
    public = tuple(address for address in addresses if check_address(address) is None)
    if public:
        return Found(public)
    detail = f"{host} is at {addresses[0]}, which is not a public address"
    return NotFound(Drop(Reason.ADDRESS_NOT_PUBLIC, detail), passing=False)


@functools.cache
def names_of_process() -> Names:
    """Return the one memory of names that all downloads of this process share."""
    return Names()


class GuardedResolver(AbstractResolver):
    """Names for aiohttp: what connect_to says, else one checked address, which aiohttp connects to as it is.

    Raises AddressRefusedError, which carries the Drop, where there is none.
    """

    def __init__(self, connect_to: ConnectTo, names: Names, timeout_s: float) -> None:
        self._connect_to, self._names, self._timeout_s = connect_to, names, timeout_s

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the address that `host` is to be reached at."""
        if served := self._connect_to.find(host):
            return [_result(host, *served)]
        found = await self._names.find(host, self._timeout_s)
        if isinstance(found, NotFound):
            raise AddressRefusedError(found.drop)
        return [_result(host, found.addresses[0], port)]

    async def close(self) -> None:
        """Nothing is held that the process does not share."""


def _result(host: str, address: str, port: int) -> ResolveResult:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST
    )
