"""Hosts that are given up for now, because they are down or asked to be left alone."""

import time
from dataclasses import dataclass

from filters.reasons import Drop, Reason

REST_S = 600.0
MAX_HOSTS = 20_000


@dataclass(slots=True)
class _Host:
    num_failures: int = 0
    closed_until: float = 0.0
    why: Drop | None = None


class Breaker:
    """Counts how many downloads in a row an origin has failed, and closes it after so many."""

    def __init__(self, failures_to_close: int) -> None:
        self._failures_to_close = failures_to_close
        self._hosts: dict[str, _Host] = {}

    def check(self, origin: str) -> Drop | None:
        """Return why this origin is not asked now; None where it may be."""
        host = self._hosts.get(origin)
        return host.why if host and host.closed_until > time.monotonic() else None

    def answered(self, origin: str) -> None:
        """An origin has answered: what it failed before is forgotten."""
        if self._hosts:
            self._hosts.pop(origin, None)

    def failed(self, origin: str, drop: Drop) -> None:
        """A download has failed for a reason that is the origin's."""
        host = self._host(origin)
        host.num_failures += 1
        if host.num_failures >= self._failures_to_close:
            detail = f"{host.num_failures} downloads in a row failed, the last: {drop}"
            self._close(host, REST_S, Drop(Reason.HOST_DOWN, detail))

    def rest(self, origin: str, seconds: float, drop: Drop) -> None:
        """Leave an origin alone for a time that it has asked for."""
        self._close(self._host(origin), seconds, drop)

    def _close(self, host: _Host, seconds: float, why: Drop) -> None:
        host.closed_until, host.why = time.monotonic() + seconds, why

    def _host(self, origin: str) -> _Host:
        if origin not in self._hosts and len(self._hosts) >= MAX_HOSTS:
            del self._hosts[next(iter(self._hosts))]  # the one that began to fail longest ago
        return self._hosts.setdefault(origin, _Host())
