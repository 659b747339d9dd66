"""The server's behaviours, each asked for over a real connection."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest

from pipeline.sample_web.server import Resource, Served, Web, serving


def misbehaving_web() -> Web:
    web = Web()
    web.add("http://a.sample.test/cup.jpg", Resource(body=b"picture", headers={"Content-Type": "image/jpeg"}))
    web.add("http://b.sample.test/cup.jpg?size=2", Resource(body=b"other picture"))
    web.add("http://a.sample.test/gone", Resource(status=410))
    web.add(
        "http://a.sample.test/moved", Resource(status=301, headers={"Location": "http://b.sample.test/x"})
    )
    web.add("http://a.sample.test/shy", Resource(body=b"at last", num_refusals=1))
    web.add("http://a.sample.test/slow", Resource(body=b"late", delay_s=0.2))
    web.add("http://a.sample.test/drip", Resource(body=b"start", flow="drip"))
    web.add("http://a.sample.test/endless", Resource(flow="endless"))
    web.add("http://a.sample.test/reset", Resource(flow="reset"))
    web.add("http://a.sample.test/giga", Resource(flow="drip", headers={"Content-Length": "1000000000"}))
    return web


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(misbehaving_web(), closed_hosts=("closed.sample.test",)) as served:
        yield served


async def ask(served: Served, path: str, host: str = "a.sample.test") -> tuple[int, dict[str, str], bytes]:
    url = f"http://127.0.0.1:{served.port}{path}"
    async with (
        aiohttp.ClientSession(headers={"Host": host, "User-Agent": "tester"}) as session,
        session.get(url, allow_redirects=False) as response,
    ):
        return response.status, dict(response.headers), await response.read()


async def test_hosts_and_queries_part_addresses(served: Served) -> None:
    assert (await ask(served, "/cup.jpg"))[2] == b"picture"
    assert (await ask(served, "/cup.jpg?size=2", "b.sample.test"))[2] == b"other picture"
    assert (await ask(served, "/cup.jpg", "b.sample.test"))[0] == 404


async def test_statuses_and_headers_are_as_given(served: Served) -> None:
    assert (await ask(served, "/cup.jpg"))[1]["Content-Type"] == "image/jpeg"
    assert (await ask(served, "/gone"))[0] == 410
    status, headers, _ = await ask(served, "/moved")
    assert (status, headers["Location"]) == (301, "http://b.sample.test/x")


async def test_a_busy_address_answers_once_it_has_refused(served: Served) -> None:
    first, second, third = [await ask(served, "/shy") for _ in range(3)]
    assert (first[0], first[1]["Retry-After"]) == (429, "1")
    assert (second[0], third[0], third[2]) == (200, 200, b"at last")


async def test_a_slow_address_takes_its_time(served: Served) -> None:
    started = time.monotonic()
    assert (await ask(served, "/slow"))[2] == b"late"
    assert time.monotonic() - started >= 0.2


async def test_a_drip_does_not_end(served: Served) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ask(served, "/drip"), timeout=0.5)


async def test_an_endless_body_outgrows_any_limit(served: Served) -> None:
    async with (
        aiohttp.ClientSession(headers={"Host": "a.sample.test"}) as session,
        session.get(f"http://127.0.0.1:{served.port}/endless") as response,
    ):
        assert len(await response.content.readexactly(3_000_000)) == 3_000_000


async def test_a_gigabyte_is_announced(served: Served) -> None:
    async with (
        aiohttp.ClientSession(headers={"Host": "a.sample.test"}) as session,
        session.get(f"http://127.0.0.1:{served.port}/giga") as response,
    ):
        assert response.content_length == 1_000_000_000


async def test_a_reset_connection_gives_no_answer(served: Served) -> None:
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask(served, "/reset")


async def test_nobody_listens_at_a_closed_host(served: Served) -> None:
    entry, rest = served.connect_to
    assert rest == f"*.sample.test=127.0.0.1:{served.port}"
    host, _, address = entry.partition("=")
    assert host == "closed.sample.test"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))


async def test_requests_agents_and_concurrency_are_recorded(served: Served) -> None:
    await asyncio.gather(*(ask(served, "/slow") for _ in range(3)))
    assert served.web.num_requests["http://a.sample.test/slow"] == 3
    assert served.web.max_concurrent["a.sample.test"] == 3
    assert served.web.user_agents == {"tester"}


def test_leaving_cuts_connections_that_are_still_open() -> None:
    async def drip(served: Served) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(ask(served, "/drip"), timeout=0.2)

    with serving(misbehaving_web()) as served:
        asyncio.run(drip(served))
        reader = asyncio.new_event_loop()
        _, writer = reader.run_until_complete(asyncio.open_connection("127.0.0.1", served.port))
        writer.write(b"GET /drip HTTP/1.1\r\nHost: a.sample.test\r\n\r\n")
        reader.run_until_complete(asyncio.sleep(0.1))
        started = time.monotonic()
    assert time.monotonic() - started < 1
    writer.close()
    reader.run_until_complete(asyncio.sleep(0))
    reader.close()


def test_an_address_has_one_answer() -> None:
    web = misbehaving_web()
    with pytest.raises(ValueError, match="has an answer already"):
        web.add("http://a.sample.test/gone", Resource())
    with pytest.raises(ValueError, match="write http://HOST/PATH"):
        web.add("ftp://a.sample.test/gone", Resource())


def test_a_port_that_is_taken_is_named(served: Served) -> None:
    with (
        pytest.raises(ValueError, match=f"port {served.port} of 127.0.0.1 is not to be had"),
        serving(Web(), port=served.port),
    ):
        pass
