"""What a request must be before anything is done for it.

Any page that somebody visits can make his browser send requests to this machine. So: a Host that is a name of
ours (a stranger's name that leads here is DNS rebinding), an Origin that is this page, no request that a
browser calls cross-site but for opening the page itself; and no answer that another page may read, frame or
load (headers below; there is no CORS). Beyond that each client has a rate, and work in progress a limit.
"""

import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
MAX_CLIENTS = 10_000  # remembered at a time

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def refused(status: int, words: str, **headers: str) -> web.Response:
    """Return an answer that says no, as JSON with one line."""
    return web.json_response({"error": words}, status=status, headers=headers)


@dataclass(frozen=True, kw_only=True)
class Guard:
    """Which requests are ours to answer."""

    names: frozenset[str]  # beside localhost and addresses, which no rebinding can have

    def reason_against(self, request: web.Request) -> str | None:
        """Return why a request is refused, None where it is fine."""
        host = request.headers.get("Host", "")
        if not self._is_ours(host):
            return "this name is not known here. Next: serve with --name"
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return "requests of other pages are not answered"
        site = request.headers.get("Sec-Fetch-Site", "none")
        opens_page = request.path == "/" and request.headers.get("Sec-Fetch-Mode") == "navigate"
        if site not in ("same-origin", "none") and not opens_page:
            return "requests of other pages are not answered"
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name == "localhost" or name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse what is refused, and put the headers on every answer."""
        reason = self.reason_against(request)
        try:
            response = refused(403, reason) if reason else await handler(request)
        except web.HTTPException as error:
            response = refused(error.status, error.reason)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response


class Rate:
    """So many requests a second of each client on average, and some at once."""

    def __init__(self, per_s: float, at_once: int) -> None:
        self._per_s, self._at_once = per_s, at_once
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, client: str, now: float) -> float:
        """Return 0 for a request that may go on, which counts, or how long its client has to wait; `now` is
        `time.monotonic()`."""
        left, at = self._left.pop(client, (float(self._at_once), now))
        left = min(self._at_once, left + (now - at) * self._per_s)
        wait_s = 0.0 if left >= 1 else (1 - left) / self._per_s
        self._left[client] = (left - (wait_s == 0), now)
        if len(self._left) > MAX_CLIENTS:
            self._left.popitem(last=False)
        return wait_s
