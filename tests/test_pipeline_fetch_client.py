"""Every limit of a download, at it and above it, against a real server that misbehaves in each known way."""

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.utils import formatdate
from itertools import pairwise

import pytest
from aiohttp import web

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Download, retry_after_s
from pipeline.fetch.client import open_client
from pipeline.limits import Fetch, Network
from pipeline.sample_web.server import Handler, Resource, Served, Web, serving

HOST = "http://a.sample.test"
LIMITS = Fetch(
    timeout_s=5.0,
    connect_timeout_s=1.0,
    max_bytes=1_000,
    max_redirects=2,
    max_tries=2,
    max_retry_after_s=1.0,
    per_host_interval_s=0.0,
)
SHORT = replace(LIMITS, timeout_s=0.6)


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Web(), closed_hosts=("closed.sample.test",)) as served:
        yield served


async def download(served: Served, url: str, limits: Fetch = LIMITS) -> bytes | Drop:
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        return await body_of(client.download(url))


async def body_of(coming: Awaitable[Download | Drop]) -> bytes | Drop:
    """The bytes alone."""
    answer = await coming
    return answer.body if isinstance(answer, Download) else answer


async def outcome(served: Served, path: str, limits: Fetch = LIMITS) -> bytes | Reason:
    """The bytes, or only the reason why not."""
    answer = await download(served, f"{HOST}{path}", limits)
    return answer.reason if isinstance(answer, Drop) else answer


def add(served: Served, path: str, body: bytes = b"", status: int = 200, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    served.web.add(f"{HOST}{path}", Resource(body=body, status=status, headers=named))


def in_turn(*answers: web.Response | None) -> Handler:
    """A handler that gives one answer after the other; None hangs up; the last is given for ever."""
    left = list(answers)

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = left.pop(0) if len(left) > 1 else left[0]
        if response is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        return web.Response(status=response.status, headers=response.headers, body=response.body)

    return answer


@asynccontextmanager
async def saying(answer: bytes, *, then_close: bool = True) -> AsyncIterator[Served]:
    """A server that says these very bytes to everybody, for what no HTTP library would send."""

    said = asyncio.Event()

    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if not then_close:
            await said.wait()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(reply, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        yield Served(web=Web(), port=port, connect_to=(f"*.sample.test=127.0.0.1:{port}",))
        said.set()
        await asyncio.sleep(0.01)


# Sizes


async def test_a_body_of_the_limit_is_kept_and_one_byte_more_is_not(served: Served) -> None:
    add(served, "/at", b"x" * 1_000)
    add(served, "/above", b"x" * 1_001)
    assert await outcome(served, "/at") == b"x" * 1_000
    assert await outcome(served, "/above") == Reason.TOO_MANY_BYTES


async def test_an_endless_body_is_given_up_at_the_limit(served: Served) -> None:
    served.web.add(f"{HOST}/endless", Resource(flow="endless"))
    assert await outcome(served, "/endless", replace(LIMITS, max_bytes=300_000)) == Reason.TOO_MANY_BYTES


async def test_a_declared_gigabyte_is_not_waited_for(served: Served) -> None:
    served.web.add(f"{HOST}/giga", Resource(flow="drip", headers={"Content-Length": "1000000000"}))
    started = time.monotonic()
    assert await outcome(served, "/giga") == Reason.TOO_MANY_BYTES
    assert time.monotonic() - started < 0.5


async def test_a_body_shorter_than_declared_is_no_picture() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nhalf") as served:
        assert await outcome(served, "/short") == Reason.ANSWER_CUT_SHORT


async def test_of_a_body_longer_than_declared_no_more_than_that_is_taken() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour and many more") as served:
        assert await outcome(served, "/long") in (b"four", Reason.ANSWER_MALFORMED)


async def test_what_is_no_http_is_malformed() -> None:
    async with saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n") as served:
        assert await outcome(served, "/ssh") == Reason.ANSWER_MALFORMED


async def test_a_header_without_end_is_malformed() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000) as served:
        assert await outcome(served, "/header") == Reason.ANSWER_MALFORMED


async def test_a_compressed_answer_is_unpacked_and_the_limit_is_that_of_the_unpacked(served: Served) -> None:
    add(served, "/at", gzip.compress(b"x" * 1_000), Content_Encoding="gzip")
    add(served, "/above", gzip.compress(b"x" * 1_001), Content_Encoding="gzip")
    add(served, "/broken", b"no gzip at all", Content_Encoding="gzip")
    assert await outcome(served, "/at") == b"x" * 1_000
    assert await outcome(served, "/above") == Reason.TOO_MANY_BYTES
    assert await outcome(served, "/broken") == Reason.ANSWER_MALFORMED


async def test_a_gzip_bomb_is_given_up_before_it_fills_the_memory(served: Served) -> None:
    bomb = gzip.compress(bytes(100_000_000))
    add(served, "/bomb", bomb, Content_Encoding="gzip")
    tracemalloc.start()
    found = await outcome(served, "/bomb", replace(LIMITS, max_bytes=200_000, timeout_s=5))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found, len(bomb) < 100_000) == (Reason.TOO_MANY_BYTES, True)
    assert peak_bytes < 20_000_000


# Time


async def test_a_drip_ends_at_the_deadline(served: Served) -> None:
    served.web.add(f"{HOST}/drip", Resource(flow="drip"))
    started = time.monotonic()
    assert await outcome(served, "/drip", SHORT) == Reason.TIMEOUT
    assert 0.5 < time.monotonic() - started < 1.5


async def test_an_answer_within_the_deadline_is_waited_for(served: Served) -> None:
    served.web.add(f"{HOST}/slow", Resource(body=b"late", delay_s=0.3))
    assert await outcome(served, "/slow") == b"late"


async def test_the_deadline_covers_all_redirects_together(served: Served) -> None:
    for name, following in (("/1", "/2"), ("/2", "/3")):
        slow = Resource(status=302, headers={"Location": following}, delay_s=0.35)
        served.web.add(f"{HOST}{name}", slow)
    add(served, "/3", b"picture")
    assert await outcome(served, "/2", SHORT) == b"picture"
    assert await outcome(served, "/1", SHORT) == Reason.TIMEOUT


async def test_a_host_that_takes_the_connection_and_says_nothing_ends_at_the_deadline() -> None:
    async with saying(b"", then_close=False) as served:
        assert await outcome(served, "/silent", SHORT) == Reason.TIMEOUT


# Redirects


async def test_as_many_redirects_as_allowed_are_followed_and_one_more_is_not(served: Served) -> None:
    for number in range(3):
        add(served, f"/{number}", status=(301, 302, 307)[number], Location=f"/{number + 1}")
    add(served, "/3", b"picture")
    assert await outcome(served, "/1") == b"picture"
    assert await outcome(served, "/0") == Reason.TOO_MANY_REDIRECTS


async def test_a_redirect_to_another_host_asks_that_hosts_robots(served: Served) -> None:
    add(served, "/there", status=308, Location="http://b.sample.test/x")
    served.web.add("http://b.sample.test/robots.txt", Resource(body=b"User-agent: *\nDisallow: /x\n"))
    assert await outcome(served, "/there") == Reason.ROBOTS_DISALLOWED
    assert served.web.num_requests["http://b.sample.test/x"] == 0


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "mailto:a@b.example", "http://[bad", "http://a:99999/", "http://u:p@b/"],
)
async def test_a_redirect_to_what_is_no_web_address_is_an_invalid_url(served: Served, location: str) -> None:
    add(served, "/odd", status=301, Location=location)
    assert await outcome(served, "/odd") == Reason.URL_INVALID


async def test_a_redirect_without_a_target_is_an_error_of_its_status(served: Served) -> None:
    add(served, "/nowhere", status=302)
    drop = Drop(Reason.HTTP_ERROR, "status 302")
    assert await download(served, f"{HOST}/nowhere") == drop


# Addresses

INSIDE = [
    *("127.0.0.1", "10.0.0.1", "192.168.1.1", "172.16.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),
    *("[::1]", "[::ffff:127.0.0.1]", "[::ffff:a00:1]", "[fe80::1]", "[fc00::1]", "[fec0::1]", "[::]"),
    *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[::ffff:0:7f00:1]", "[::7f00:1]", "[ff02::1]", "224.0.0.1"),
]


@pytest.mark.parametrize("address", INSIDE)
async def test_an_address_that_is_not_public_is_refused_also_behind_a_redirect(
    served: Served, address: str
) -> None:
    add(served, "/in", status=302, Location=f"http://{address}:{served.port}/secret")
    direct = await download(served, f"http://{address}:{served.port}/secret")
    assert isinstance(direct, Drop)
    assert direct.reason == Reason.ADDRESS_NOT_PUBLIC
    assert await outcome(served, "/in") == Reason.ADDRESS_NOT_PUBLIC
    assert not any("secret" in url for url in served.web.num_requests)


@pytest.mark.parametrize("disguise", ["2130706433", "127.1", "0x7f000001", "017700000001"])
async def test_a_disguised_loopback_address_is_never_connected_to(served: Served, disguise: str) -> None:
    limits = replace(LIMITS, allowed_ports=(served.port,))
    answer = await download(served, f"http://{disguise}:{served.port}/secret", limits)
    assert isinstance(answer, Drop)
    assert answer.reason in (Reason.ADDRESS_NOT_PUBLIC, Reason.URL_INVALID, Reason.NAME_NOT_RESOLVED)
    assert not served.web.num_requests


async def test_a_name_that_resolves_to_loopback_is_refused(served: Served) -> None:
    limits = replace(LIMITS, allowed_ports=(served.port,))
    answer = await download(served, f"http://localhost:{served.port}/secret", limits)
    assert isinstance(answer, Drop)
    assert answer.reason == Reason.ADDRESS_NOT_PUBLIC
    assert not served.web.num_requests


async def test_a_name_that_has_no_address_is_told_apart(served: Served) -> None:
    answer = await download(served, "http://nowhere.invalid/cup.jpg")
    assert answer == Drop(Reason.NAME_NOT_RESOLVED, "robots.txt: no address for nowhere.invalid")


async def test_a_closed_port_says_that_its_host_is_down(served: Served) -> None:
    answer = await download(served, "http://closed.sample.test/cup.jpg")
    assert answer == Drop(Reason.HOST_DOWN, "robots.txt: ConnectionRefusedError")


# Tries


async def test_a_busy_host_is_asked_again(served: Served) -> None:
    again = {"Retry-After": "0"}
    busy, good = web.Response(status=503, headers=again), web.Response(body=b"at last")
    served.web.mount("a.sample.test", "/503", in_turn(busy, good))
    served.web.mount("a.sample.test", "/429", in_turn(web.Response(status=429, headers=again), good))
    served.web.mount("a.sample.test", "/reset", in_turn(None, good))
    assert await outcome(served, "/503") == b"at last"
    assert await outcome(served, "/429") == b"at last"
    assert await outcome(served, "/reset") == b"at last"


async def test_a_host_that_stays_busy_is_given_up_after_the_last_try(served: Served) -> None:
    always = {"Retry-After": "0"}
    served.web.mount("a.sample.test", "/429", in_turn(web.Response(status=429, headers=always)))
    served.web.mount("a.sample.test", "/500", in_turn(web.Response(status=500, headers=always)))
    assert await outcome(served, "/429") == Reason.RATE_LIMITED
    assert await outcome(served, "/500") == Reason.HTTP_ERROR
    assert {served.web.num_requests[f"{HOST}{path}"] for path in ("/429", "/500")} == {2}


async def test_a_host_that_keeps_hanging_up_is_given_up(served: Served) -> None:
    served.web.mount("a.sample.test", "/reset", in_turn(None))
    assert await outcome(served, "/reset") == Reason.CONNECTION_FAILED
    # aiohttp asks once more by itself where a kept-alive connection turns out to be closed.
    assert 2 <= served.web.num_requests[f"{HOST}/reset"] <= 4


async def test_an_error_that_will_not_pass_is_not_asked_again(served: Served) -> None:
    add(served, "/gone", status=410)
    assert await outcome(served, "/gone") == Reason.HTTP_ERROR
    assert served.web.num_requests[f"{HOST}/gone"] == 1


@pytest.mark.parametrize("as_date", [False, True])
async def test_a_pause_that_a_host_asks_for_is_kept(served: Served, as_date: bool) -> None:
    # A date has whole seconds: two from now are between one and two.
    pause = formatdate(time.time() + 2, usegmt=True) if as_date else "1"
    busy = web.Response(status=503, headers={"Retry-After": pause})
    served.web.mount("a.sample.test", "/busy", in_turn(busy, web.Response(body=b"rested")))
    started = time.monotonic()
    assert await outcome(served, "/busy", replace(LIMITS, max_retry_after_s=2)) == b"rested"
    assert 0.9 < time.monotonic() - started < 3


async def test_a_pause_that_is_too_long_is_not_waited_for(served: Served) -> None:
    busy = web.Response(status=429, headers={"Retry-After": "3600"})
    served.web.mount("a.sample.test", "/busy", in_turn(busy, web.Response(body=b"rested")))
    started = time.monotonic()
    assert await outcome(served, "/busy") == Reason.RATE_LIMITED
    assert time.monotonic() - started < 0.5
    assert served.web.num_requests[f"{HOST}/busy"] == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, 1.0),
        ("0", 0.0),
        ("120", 120.0),
        ("-5", 0.0),
        ("soon", 1.0),
        ("", 1.0),
        ("nan", 1.0),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0.0),
        ("Mon, 99 Jan 2001 00:00:00 GMT", 1.0),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(value: str | None, seconds: float) -> None:
    assert retry_after_s(value) == seconds


# Manners


async def test_a_host_never_sees_more_requests_at_once_than_allowed(served: Served) -> None:
    for number in range(9):
        served.web.add(f"{HOST}/{number}", Resource(body=b"x", delay_s=0.05))
    limits = replace(LIMITS, per_host_concurrency=3)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        answers = await asyncio.gather(*(client.download(f"{HOST}/{number}") for number in range(9)))
    assert [answer.body for answer in answers if isinstance(answer, Download)] == [b"x"] * 9
    assert served.web.max_concurrent["a.sample.test"] == 3


async def test_requests_to_one_host_keep_their_distance_while_others_are_not_held_up(served: Served) -> None:
    arrivals: dict[str, list[float]] = {"a.sample.test": [], "b.sample.test": []}

    async def note(request: web.BaseRequest) -> web.StreamResponse:
        arrivals[request.host].append(time.monotonic())
        return web.Response(body=b"x")

    for host in arrivals:
        served.web.mount(host, "/x", note)
    limits = replace(LIMITS, per_host_interval_s=0.1)
    async with open_client(Network(connect_to=served.connect_to), limits) as client:
        await asyncio.gather(*(client.download(f"http://{host}/x") for host in arrivals for _ in range(4)))
    for times in arrivals.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert min(gaps) > 0.08
    assert abs(arrivals["a.sample.test"][-1] - arrivals["b.sample.test"][-1]) < 0.1


async def test_a_pause_is_kept_towards_the_host_that_asked_for_it_and_no_other(served: Served) -> None:
    add(served, "/there", status=302, Location="http://b.sample.test/busy")
    add(served, "/cup", b"cup")
    busy = web.Response(status=503, headers={"Retry-After": "0.8"})
    served.web.mount("b.sample.test", "/busy", in_turn(busy, web.Response(body=b"rested")))
    async with open_client(Network(connect_to=served.connect_to), LIMITS) as client:
        redirected = asyncio.create_task(client.download(f"{HOST}/there"))
        await asyncio.sleep(0.3)
        started = time.monotonic()
        assert await body_of(client.download(f"{HOST}/cup")) == b"cup"
        assert time.monotonic() - started < 0.3
        assert await body_of(redirected) == b"rested"


async def test_one_robots_file_is_asked_for_once_however_many_pictures(served: Served) -> None:
    async with open_client(Network(connect_to=served.connect_to), LIMITS) as client:
        await asyncio.gather(*(client.download(f"{HOST}/{number}") for number in range(8)))
    assert served.web.num_requests[f"{HOST}/robots.txt"] == 1
