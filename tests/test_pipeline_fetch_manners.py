"""Manners, measured at the server: how often hosts and addresses are asked, and when they are left alone."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from aiohttp import web

from filters.reasons import Drop, Reason
from pipeline.fetch.client import Client, open_client
from pipeline.fetch.gate import Gate, Sign
from pipeline.fetch.pace import MAX_IDLE, Pacer
from pipeline.limits import Fetch, Network
from pipeline.sample_web.server import Served, Web, serving
from tests.faults import faulty, whole

LIMITS = Fetch(timeout_s=5, max_tries=1, max_retry_after_s=1.0, per_host_interval_s=0.0, read_tdm_file=False)
SLACK_S = 0.05  # one that starts on time may arrive late on a busy machine, and the next then seems early


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Web()) as served:
        yield served


class Record:
    """What a server has seen: when requests arrived, and how many were in hand at once."""

    def __init__(self) -> None:
        self.arrivals = defaultdict[str, list[float]](list)
        self.most = Counter[str]()
        self._now = Counter[str]()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        for name in (request.host, "address"):
            self.arrivals[name].append(time.monotonic())
            self._now[name] += 1
            self.most[name] = max(self.most[name], self._now[name])
        await asyncio.sleep(0.05)
        for name in (request.host, "address"):
            self._now[name] -= 1
        return web.Response(body=b"cup")

    def earliest(self, name: str, interval_s: float) -> float:
        """By how much the request that came too early did so, whatever the window looked at."""
        times = self.arrivals[name]
        return min(
            later - earlier - (number_later - number_earlier) * interval_s
            for number_later, later in enumerate(times)
            for number_earlier, earlier in enumerate(times[:number_later])
        )


async def test_neither_hosts_nor_their_address_see_more_than_their_concurrency_and_rate(
    served: Served,
) -> None:
    record, hosts = Record(), [f"{name}.sample.test" for name in "abcde"]
    for host in hosts:
        served.web.mount(host, "/robots.txt", record.answer)
        served.web.mount(host, "/x", record.answer)
    limits = replace(LIMITS, per_host_concurrency=2, per_host_interval_s=0.03, hosts_per_address=2)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        await asyncio.gather(*(client.download(f"http://{host}/x") for host in hosts for _ in range(12)))
    assert all(len(record.arrivals[host]) == 13 for host in hosts)
    assert max(record.most[host] for host in hosts) == 2
    assert record.most["address"] == 4
    assert min(record.earliest(host, 0.03) for host in hosts) > -SLACK_S
    assert record.earliest("address", 0.015) > -SLACK_S


async def downloads(client: Client, urls: list[str]) -> list[str]:
    """What became of URLs, asked one after the other: reasons, or "kept"."""
    answers = [await client.download(url) for url in urls]
    return [str(answer.reason) if isinstance(answer, Drop) else "kept" for answer in answers]


async def test_a_host_that_goes_down_is_given_up_after_so_many_downloads() -> None:
    urls = [f"http://a.sample.test/{number}" for number in range(8)]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(faulty({"/first": whole(b"cup")}))
        network = Network(connect_to=(f"*.sample.test=127.0.0.1:{server.port}",))
        async with open_client(network, replace(LIMITS, host_down_after=3)) as client:
            assert await downloads(client, ["http://a.sample.test/first"]) == ["kept"]
            await stack.aclose()
            assert await downloads(client, urls) == ["connection_failed"] * 3 + ["host_down"] * 5


async def test_a_host_that_answers_now_and_then_is_not_given_up(served: Served) -> None:
    busy, kept = web.Response(status=503), web.Response(body=b"cup")
    left = [busy, busy, kept, busy, busy, kept]

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        response = left.pop(0)
        return web.Response(status=response.status, body=response.body)

    served.web.mount("a.sample.test", "/x", answer)
    limits = replace(LIMITS, host_down_after=3)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        outcomes = await downloads(client, ["http://a.sample.test/x"] * 6)
    assert outcomes == ["http_error", "http_error", "kept"] * 2


async def test_a_host_that_is_always_busy_is_given_up_and_no_longer_asked() -> None:
    async with faulty({"/x": whole(b"", 503)}) as server:
        network = Network(connect_to=(f"*.sample.test=127.0.0.1:{server.port}",))
        limits = replace(LIMITS, max_tries=2, max_retry_after_s=0.05, host_down_after=3)
        async with open_client(network, limits) as client:
            outcomes = await downloads(client, ["http://a.sample.test/x"] * 9)
            other = await downloads(client, ["http://b.sample.test/x"])
        assert outcomes == ["http_error"] * 3 + ["host_down"] * 6
        assert other == ["http_error"]
        assert server.num_requests["/x"] == 2 * 3 + 2


async def test_a_host_that_asks_for_a_long_pause_is_not_asked_again_for_other_pictures() -> None:
    async with faulty({"/0": whole(b"", 429, Retry_After=3600), "/1": whole(b"cup")}) as server:
        network = Network(connect_to=(f"*.sample.test=127.0.0.1:{server.port}",))
        async with open_client(network, LIMITS) as client:
            answers = [await client.download(f"http://a.sample.test/{number}") for number in (0, 1)]
        assert [getattr(answer, "reason", None) for answer in answers] == [Reason.RATE_LIMITED] * 2
        assert "a pause of 3600 s > 1 s" in str(answers[1])
        assert server.num_requests["/1"] == 0


async def test_pauses_before_further_tries_double_and_differ_from_host_to_host(served: Served) -> None:
    arrivals: dict[str, list[float]] = {f"{name}.sample.test": [] for name in "abc"}

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        arrivals[request.host].append(time.monotonic())
        return web.Response(status=503)

    for host in arrivals:
        served.web.mount(host, "/x", answer)
    limits = replace(LIMITS, max_tries=3, max_retry_after_s=60)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        await asyncio.gather(*(client.download(f"http://{host}/x") for host in arrivals))
    pauses = [(second - first, third - second) for first, second, third in arrivals.values()]
    assert all(0.45 < first < 1.6 and 0.95 < second < 3.1 for first, second in pauses)
    assert len({round(first, 1) for first, _ in pauses}) > 1


async def test_a_proxy_of_the_environment_is_not_used(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with faulty({}) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with open_client(Network(connect_to=served.connect_to), LIMITS) as client:
            assert await downloads(client, ["http://a.sample.test/x"]) == ["http_error"]
        assert proxy.num_connections == 0
    assert served.web.num_requests["http://a.sample.test/x"] == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://user@a.sample.test/x", "url_invalid"),
        ("http://user:secret@a.sample.test/x", "url_invalid"),
        ("http://[bad/x", "url_invalid"),
        ("http://elsewhere.test:8080/x", "port_refused"),
        ("https://elsewhere.test:22/x", "port_refused"),
        ("http://8.8.8.8:25/x", "port_refused"),
        ("http://127.0.0.1:80/x", "address_not_public"),
    ],
)
async def test_what_a_url_itself_forbids_is_refused_before_anything_is_asked(
    served: Served, url: str, reason: str
) -> None:
    async with open_client(Network(connect_to=served.connect_to), LIMITS) as client:
        assert await downloads(client, [url]) == [reason]
    assert not served.web.num_requests


async def test_a_connection_is_kept_while_others_wait_for_its_host_and_no_longer(served: Served) -> None:
    asked: list[str | None] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.headers.get("Connection"))
        return web.Response(body=b"cup")

    served.web.mount("a.sample.test", "/x", answer)
    limits = replace(LIMITS, per_host_concurrency=1)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        await asyncio.gather(*(client.download("http://a.sample.test/x") for _ in range(4)))
    assert asked == [None, None, None, "close"]


async def test_a_connection_made_for_one_name_serves_no_other() -> None:
    async with faulty({"/x": whole(b"cup"), "/robots.txt": whole(b"")}) as server:
        network = Network(connect_to=(f"*.sample.test=127.0.0.1:{server.port}",))
        async with open_client(network, LIMITS) as client:
            assert await downloads(client, [f"http://{name}.sample.test/x" for name in "abc"]) == ["kept"] * 3
        assert server.num_connections == 3


# The gate


async def window(gate: Gate, signs: list[Sign]) -> None:
    """As many requests as are allowed at once, and one that has to wait; then their signs."""
    num_in = gate.limit
    for _ in range(num_in):
        await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await asyncio.sleep(0)
    for number in range(num_in):
        gate.note(signs[number % len(signs)])
        gate.leave()
    await waiting
    gate.leave()


async def test_the_gate_opens_while_all_is_well_up_to_its_bound() -> None:
    gate, limits = Gate(8, 4, 12), []
    for _ in range(6):
        await window(gate, [Sign.GOOD])
        limits.append(gate.limit)
    assert limits == [9, 10, 11, 12, 12, 12]


@pytest.mark.parametrize(("signs", "expected"), [([Sign.STRAINED], 6), ([Sign.SLOW], 6)])
async def test_the_gate_closes_when_names_and_sockets_fail_down_to_its_bound(
    signs: list[Sign], expected: int
) -> None:
    gate = Gate(20, expected, 50)
    for _ in range(9):
        await window(gate, signs)
    assert gate.limit == expected


async def test_the_gate_stays_where_a_third_of_the_hosts_are_slow() -> None:
    gate = Gate(30, 4, 99)
    await window(gate, [Sign.SLOW, Sign.GOOD, Sign.GOOD])
    assert gate.limit == 30


async def test_the_gate_does_not_open_while_nobody_waits() -> None:
    gate = Gate(8, 4, 99)
    for _ in range(50):
        await gate.enter()
        gate.note(Sign.GOOD)
        gate.leave()
    assert gate.limit == 8


async def test_hosts_that_nobody_asks_any_more_are_forgotten_and_those_in_use_are_not() -> None:
    pacer = Pacer(1, 0.0, 1)
    await pacer.enter("used", "of used")
    for number in range(3 * MAX_IDLE):
        await pacer.enter(f"host {number}", f"address {number}")
        pacer.leave(f"host {number}", f"address {number}")
    assert len(pacer) <= MAX_IDLE
    async with asyncio.timeout(1):
        waiting = asyncio.create_task(pacer.enter("used", "of used"))
        await asyncio.sleep(0)
        pacer.leave("used", "of used")
        await waiting


async def test_who_gives_up_waiting_takes_no_place() -> None:
    gate, pacer = Gate(1, 1, 1), Pacer(1, 0.0, 1)
    await gate.enter()
    await pacer.enter("a", "1")
    waiting = [asyncio.create_task(gate.enter()), asyncio.create_task(pacer.enter("a", "1"))]
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    gate.leave()
    pacer.leave("a", "1")
    async with asyncio.timeout(1):
        await gate.enter()
        await pacer.enter("a", "1")
