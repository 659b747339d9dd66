"""One URL to its bytes or to the reason why not: tries, redirects, deadlines, sizes, robots, pace."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import aiohttp
from multidict import CIMultiDictProxy
from yarl import URL

from filters.reasons import Drop, Reason
from filters.urls import canonical_url
from pipeline.fetch.guard import AddressRefusedError, ConnectTo, GuardedResolver, check_literal
from pipeline.fetch.pace import Pacer
from pipeline.fetch.robots import MAX_ROBOTS_BYTES, USER_AGENT_TOKEN, RobotsRules, check_opt_out
from pipeline.limits import Fetch, Network

READ_SIZE = 64 * 1024
REDIRECTS = {301, 302, 303, 307, 308}
BUSY = {429, 500, 502, 503, 504}
# A host that answers for its robots.txt, but with nothing that can be read as rules, forbids all.
UNREADABLE = {Reason.HTTP_ERROR, Reason.RATE_LIMITED, Reason.TOO_MANY_BYTES, Reason.TOO_MANY_REDIRECTS}


@dataclass(frozen=True, slots=True)
class Answer:
    """The final answer of a URL."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer that did not come. `retry_after_s`: when another try may help, None when none will."""

    drop: Drop
    retry_after_s: float | None = None


def user_agent(contact: str) -> str:
    """Return the honest name that hosts see."""
    return f"{USER_AGENT_TOKEN}/0.1" + (f" (+{contact})" if contact else "")


@asynccontextmanager
async def open_client(
    network: Network, limits: Fetch, headers: Mapping[str, str] | None = None
) -> AsyncIterator["Client"]:
    """Open the one client of an event loop: connections kept alive, one TLS context, guarded names. `headers`
    go with every request, to whichever host a redirect leads."""
    resolver = GuardedResolver(ConnectTo.parse(network.connect_to))
    connector = aiohttp.TCPConnector(resolver=resolver, limit=0, ttl_dns_cache=600)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=limits.connect_timeout_s)
    named = {"User-Agent": user_agent(network.contact), "Accept": "image/*,*/*;q=0.5", **(headers or {})}
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, headers=named, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Client(session, limits)


@dataclass
class Client:
    """Downloads within limits. One per event loop."""

    session: aiohttp.ClientSession
    limits: Fetch
    _pacer: Pacer = field(init=False)
    _in_flight: asyncio.Semaphore = field(init=False)
    _robots: dict[str, "asyncio.Task[RobotsRules | Drop]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._pacer = Pacer(self.limits.per_host_concurrency, self.limits.per_host_interval_s)
        self._in_flight = asyncio.Semaphore(self.limits.concurrency)

    async def download(self, url: str) -> bytes | Drop:
        """Return the bytes of a picture, or why they were not to be had."""
        answer = await self._get(url, self.limits.max_bytes, obey_robots=True)
        if isinstance(answer, Drop):
            return answer
        if self.limits.respect_opt_out and (drop := check_opt_out(answer.headers.getall("X-Robots-Tag", []))):
            return drop
        if answer.status != 200:
            return Drop(Reason.HTTP_ERROR, f"status {answer.status}")
        return answer.body

    async def ask(self, url: str) -> Answer | Drop:
        """Return the answer of a service that is there to be asked, such as a search API, whatever its
        status: its robots.txt, which speaks to crawlers, is not consulted."""
        return await self._get(url, self.limits.max_bytes, obey_robots=False)

    async def _get(self, url: str, max_bytes: int, *, obey_robots: bool) -> Answer | Drop:
        """Try until there is an answer, the failure is final or the tries are used up."""
        failure = Failure(Drop(Reason.CONNECTION_FAILED, "not tried"))
        for _ in range(self.limits.max_tries):
            outcome = await self._follow(URL(url, encoded=True), max_bytes, obey_robots)
            if isinstance(outcome, Answer):
                return outcome
            failure = outcome
            if not self._worth_another_try(failure):
                break
        return failure.drop

    async def _follow(self, url: URL, max_bytes: int, obey_robots: bool) -> Answer | Failure:
        """Follow redirects hop by hop: every hop is checked, paced and counted against one deadline."""
        left_s = self.limits.timeout_s
        for _ in range(self.limits.max_redirects + 1):
            if drop := check_literal(url) or (await self._check_robots(url) if obey_robots else None):
                return Failure(drop)
            async with self._pacer.slot(url.host or ""), self._in_flight:
                started = time.monotonic()
                outcome = await self._request(url, max_bytes, left_s)
                left_s -= time.monotonic() - started
            if isinstance(outcome, Failure) and self._worth_another_try(outcome):
                # The pause is for the host that asked for it, which a redirect may have led to.
                self._pacer.pause(url.host or "", outcome.retry_after_s or 0.0)
            if not isinstance(outcome, URL):
                return outcome
            url = outcome
        return Failure(Drop(Reason.TOO_MANY_REDIRECTS, f"more than {self.limits.max_redirects} redirects"))

    def _worth_another_try(self, failure: Failure) -> bool:
        return failure.retry_after_s is not None and failure.retry_after_s <= self.limits.max_retry_after_s

    async def _request(self, url: URL, max_bytes: int, left_s: float) -> Answer | Failure | URL:
        """Make one request: its answer, its failure, or where it redirects to."""
        try:
            async with asyncio.timeout(left_s), self.session.get(url, allow_redirects=False) as response:
                if response.status in REDIRECTS and "Location" in response.headers:
                    return _redirect(url, response.headers["Location"])
                if response.status in BUSY:
                    return _busy(response.status, response.headers.get("Retry-After"))
                body = await _read(response, max_bytes)
                return (
                    Answer(response.status, response.headers, body)
                    if isinstance(body, bytes)
                    else Failure(body)
                )
        except TimeoutError:
            return Failure(Drop(Reason.TIMEOUT, f"no whole answer within {self.limits.timeout_s:g} s"))
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, AddressRefusedError):
                return Failure(Drop(Reason.ADDRESS_NOT_PUBLIC, str(error.os_error)))
            return Failure(Drop(Reason.NAME_NOT_RESOLVED, f"no address for {url.host}"))
        except aiohttp.ClientConnectorError as error:
            return Failure(Drop(Reason.CONNECTION_FAILED, f"{type(error.os_error).__name__}"))
        except aiohttp.InvalidURL:
            return Failure(Drop(Reason.URL_INVALID, "not a URL that can be asked for"))
        except (aiohttp.ClientError, OSError) as error:
            # The connection broke after it was made: worth another try.
            return Failure(Drop(Reason.CONNECTION_FAILED, type(error).__name__), retry_after_s=0.2)

    async def _check_robots(self, url: URL) -> Drop | None:
        origin = str(url.origin())
        if origin not in self._robots:
            self._robots[origin] = asyncio.create_task(self._read_robots(f"{origin}/robots.txt"))
        rules = await self._robots[origin]
        return rules if isinstance(rules, Drop) else rules.check(str(url))

    async def _read_robots(self, url: str) -> RobotsRules | Drop:
        """Read an origin's rules; a host that cannot be reached for them is not asked for pictures."""
        answer = await self._get(url, MAX_ROBOTS_BYTES, obey_robots=False)
        if isinstance(answer, Answer):
            return RobotsRules(answer.status, answer.body)
        if answer.reason in UNREADABLE:
            return Drop(Reason.ROBOTS_DISALLOWED, f"robots.txt: {answer.detail}")
        return Drop(answer.reason, f"robots.txt: {answer.detail}")


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | Drop:
    """Read a body while it is small enough; what its header declares is only a hint to stop early."""
    too_many = Drop(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
    if (response.content_length or 0) > max_bytes:
        return too_many
    chunks = bytearray()
    async for chunk in response.content.iter_chunked(READ_SIZE):
        chunks += chunk
        if len(chunks) > max_bytes:
            return too_many
    return bytes(chunks)


def _redirect(url: URL, location: str) -> URL | Failure:
    try:
        target = canonical_url(str(url.join(URL(location))))
    except ValueError:
        target = None
    if target is None:
        return Failure(Drop(Reason.URL_INVALID, "redirects to what is not an http or https URL"))
    return URL(target, encoded=True)


def _busy(status: int, retry_after: str | None) -> Failure:
    reason = Reason.RATE_LIMITED if status == 429 else Reason.HTTP_ERROR
    return Failure(Drop(reason, f"status {status}"), retry_after_s=retry_after_s(retry_after))


def retry_after_s(value: str | None) -> float:
    """Read a Retry-After header (seconds or a date); 1 s where there is none or it cannot be read.

    >>> retry_after_s("2"), retry_after_s(None), retry_after_s("soon")
    (2.0, 1.0, 1.0)
    """
    if value is None:
        return 1.0
    try:
        seconds = float(value)
        return 1.0 if math.isnan(seconds) else max(0.0, seconds)
    except ValueError:
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            return 1.0
