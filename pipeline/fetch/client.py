"""One URL to its bytes or to the reason why not: checks, tries, redirects, manners."""

import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from filters.do_not_fetch import DoNotFetch, read_do_not_fetch
from filters.reasons import Drop, Reason
from filters.sampling import priority
from pipeline.fetch.answers import Answer, Download, Failure
from pipeline.fetch.breaker import Breaker
from pipeline.fetch.buffer import Buffer
from pipeline.fetch.exchange import exchange
from pipeline.fetch.gate import Gate, Sign
from pipeline.fetch.guard import ConnectTo, check_url
from pipeline.fetch.judge import judge
from pipeline.fetch.names import Names, NotFound, names_of_process
from pipeline.fetch.pace import Pacer
from pipeline.fetch.session import open_session
from pipeline.fetch.sites import UNREACHED, Sites, Verdict
from pipeline.limits import Fetch, Network

NO_RULES_ASKED = Verdict(None, "")


@asynccontextmanager
async def open_client(
    network: Network,
    limits: Fetch,
    headers: Mapping[str, str] | None = None,
    names: Names | None = None,
    room: Callable[[], Awaitable[object]] | None = None,
) -> AsyncIterator["Client"]:
    """Open the one client of an event loop: connections kept alive, one TLS context, guarded names. `headers`
    go with every request, to whichever host a redirect leads. `names`: in the place of the process's own.
    `room` waits until there is room in memory for another answer.
    """
    connect_to, names = ConnectTo.parse(network.connect_to), names or names_of_process()
    listed = read_do_not_fetch(limits.do_not_fetch)
    async with open_session(
        connect_to, names, limits.connect_timeout_s, network.contact, headers or {}
    ) as session:
        yield Client(session, limits, connect_to, names, listed, room)


def num_files_allowed() -> int:
    """Return how many files and sockets this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 1 << 20


@dataclass(slots=True)
class _Course:
    """A download under way: what is left of its time, and where it has got to."""

    left_s: float
    max_bytes: int
    is_picture: bool = True
    is_service: bool = False
    url: URL = field(default_factory=URL)
    host: str = ""
    origin: str = ""
    verdict: Verdict = NO_RULES_ASKED

    def go_to(self, url: URL) -> None:
        """Take the next hop."""
        self.url, self.host, self.origin = url, url.raw_host or "", f"{url.scheme}://{url.raw_authority}"


@dataclass
class Client:
    """Downloads within limits. One per event loop."""

    session: aiohttp.ClientSession
    limits: Fetch
    connect_to: ConnectTo
    names: Names
    do_not_fetch: DoNotFetch
    room: Callable[[], Awaitable[object]] | None = None
    gate: Gate = field(init=False)
    _buffer: Buffer = field(init=False)
    _pacer: Pacer = field(init=False)
    _breaker: Breaker = field(init=False)
    _sites: Sites = field(init=False)
    _names_at_first: tuple[int, int] = field(init=False)
    _wanted: Counter[str] = field(default_factory=Counter)
    """Downloads under way for each host, which say whether its connections are worth keeping."""

    def __post_init__(self) -> None:
        limits = self.limits
        self._names_at_first = (self.names.num_asked, self.names.num_failed)
        self._pacer = Pacer(limits.per_host_concurrency, limits.per_host_interval_s, limits.hosts_per_address)
        most = min(limits.max_concurrency, max(1, num_files_allowed() // 2))
        self.gate = Gate(min(limits.concurrency, most), min(limits.min_concurrency, most), most)
        self._buffer = Buffer(limits.max_buffered_mb * 1_000_000, ahead=self.room)
        self._breaker = Breaker(limits.host_down_after)
        self._sites = Sites(self._get_rules, limits.read_tdm_file and limits.respect_opt_out)

    async def download(self, url: str) -> Download | Drop:
        """Return the bytes of a picture with what is to be known of them, or why they were not to be had."""
        course = _Course(self.limits.timeout_s, self.limits.max_bytes)
        answer = await self._get(url, course)
        if isinstance(answer, Failure):
            return answer.drop
        final_url = str(course.url)
        return judge(
            answer,
            course.verdict,
            final_url=final_url if final_url != url else None,
            respect_opt_out=self.limits.respect_opt_out,
        )

    def names_since_opened(self) -> dict[str, int]:
        """Return how many names were looked up, and how many of those look-ups got no answer."""
        asked, failed = self._names_at_first
        return {"names/asked": self.names.num_asked - asked, "names/failed": self.names.num_failed - failed}

    def num_hosts_waiting(self) -> int:
        """Return how many hosts have requests of which none may start just now."""
        return self._pacer.num_hosts_waiting()

    async def ask(self, url: str) -> Answer | Drop:
        """Return the answer of a service that is there to be asked, such as a search API, whatever its
        status: its robots.txt, which speaks to crawlers, is not consulted."""
        course = _Course(self.limits.timeout_s, self.limits.max_bytes, is_picture=False, is_service=True)
        answer = await self._get(url, course)
        return answer.drop if isinstance(answer, Failure) else answer

    async def _get_rules(self, url: str, max_bytes: int) -> Answer | Failure:
        return await self._get(url, _Course(self.limits.timeout_s, max_bytes, is_picture=False))

    async def _get(self, url: str, course: _Course) -> Answer | Failure:
        """Try until there is an answer, the failure is final or the tries or the time are used up."""
        try:
            first = URL(url, encoded=True)
        except ValueError:
            return Failure(drop=Drop(Reason.URL_INVALID, "not a URL that can be asked for"))
        host = first.raw_host or ""
        self._wanted[host] += 1
        try:
            for number in range(self.limits.max_tries):
                course.go_to(first)
                outcome = await self._follow(course)
                if isinstance(outcome, Answer) or not self._rest(outcome, course, number):
                    break
        finally:
            self._wanted[host] -= 1
            if not self._wanted[host]:
                del self._wanted[host]
        if isinstance(outcome, Answer):
            self._breaker.answered(course.origin)
        elif outcome.is_hosts and course.is_picture:
            self._breaker.failed(course.origin, outcome.drop)
        return outcome

    def _rest(self, failure: Failure, course: _Course, number: int) -> bool:
        """Let the host that failed rest; return whether another try may help."""
        if not failure.passing or course.left_s <= 0:
            return False
        limit = self.limits.max_retry_after_s
        if failure.pause_s is not None and failure.pause_s > limit:
            if course.is_picture:  # the rest of this host's pictures need not ask to learn the same
                detail = f"{failure.drop.detail}, and a pause of {failure.pause_s:.0f} s > {limit:g} s"
                drop = Drop(failure.drop.reason, detail)
                self._breaker.rest(course.origin, failure.pause_s, drop)
            return False
        pause_s = failure.pause_s
        if (
            pause_s is None
        ):  # drawn by hash between a half and one and a half, so that hosts do not beat in time
            jitter = 0.5 + priority(f"{course.url} {number}", salt="backoff") / 2**64
            pause_s = min(limit, failure.backoff_s * 2**number * jitter)
        # The pause is for the host that asked for it, which a redirect may have led to.
        self._pacer.pause(course.host, pause_s)
        return True

    async def _follow(self, course: _Course) -> Answer | Failure:
        """Follow redirects hop by hop: every hop is checked, paced and counted against one deadline."""
        for _ in range(self.limits.max_redirects + 1):
            if drop := await self._check(course):
                return Failure(drop=drop)
            outcome = await self._request(course)
            if not isinstance(outcome, URL):
                return outcome
            course.go_to(outcome)
        detail = f"more than {self.limits.max_redirects} redirects"
        return Failure(drop=Drop(Reason.TOO_MANY_REDIRECTS, detail))

    async def _check(self, course: _Course) -> Drop | None:
        """Return why the next hop may not be asked for: what it says itself, then its site's rules."""
        url = course.url
        any_port = course.is_service or self.connect_to.find(course.host) is not None
        if drop := check_url(url, None if any_port else self.limits.allowed_ports):
            return drop
        if drop := self.do_not_fetch.check_url(str(url)):
            return drop
        if not course.is_picture:
            return None
        course.verdict = await self._sites.check(url, course.origin)
        return course.verdict.drop or self._breaker.check(course.origin)

    async def _request(self, course: _Course) -> Answer | Failure | URL:
        """Make one request in its turn: that of its host, of its address and of this worker."""
        host = course.host
        address = await self._address(host, course)
        if isinstance(address, Failure):
            self.gate.note(address.sign)
            return address
        await self._pacer.enter(host, address)
        try:
            if course.is_picture and (drop := self._breaker.check(course.origin)):
                return Failure(drop=drop)  # the host went down while this download waited
            await self.gate.enter()
            started = time.monotonic()
            try:
                if self.room:
                    await self.room()
                    started = time.monotonic()
                outcome = await exchange(
                    self.session,
                    course.url,
                    max_bytes=course.max_bytes,
                    deadline_s=course.left_s,
                    buffer=self._buffer,
                    keep_alive=not course.is_picture or self._wanted[host] > 1,
                    read_errors=course.is_service,
                )
            finally:
                self.gate.leave()
        finally:
            self._pacer.leave(host, address)
        course.left_s -= time.monotonic() - started
        self._learn(host, outcome)
        return outcome

    async def _address(self, host: str, course: _Course) -> str | Failure:
        """Return the address whose limits count, which is the one that will be connected to."""
        if served := self.connect_to.find(host):
            return f"{served[0]}:{served[1]}"
        if (
            host[-1:].isdigit() or ":" in host
        ):  # an address itself, or a disguise of one that has no other name
            return host
        found = await self.names.find(host, min(self.limits.connect_timeout_s, course.left_s))
        if isinstance(found, NotFound):
            sign = Sign.STRAINED if found.passing else Sign.GOOD
            return Failure(drop=found.drop, passing=found.passing, is_hosts=True, sign=sign)
        return found.addresses[0]

    def _learn(self, host: str, outcome: Answer | Failure | URL) -> None:
        self.gate.note(outcome.sign if isinstance(outcome, Failure) else Sign.GOOD)
        if isinstance(outcome, Failure) and outcome.is_hosts and outcome.drop.reason in UNREACHED:
            self.names.try_next(host)
