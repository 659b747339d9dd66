"""Every fault of a server ends in its own reason, after an honest number of requests, in bounded time and
memory."""

import asyncio
import gzip
import time
import tracemalloc
from dataclasses import dataclass, replace

import pytest

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Download
from pipeline.fetch.client import open_client
from pipeline.limits import Fetch, Network
from tests.faults import (
    MIB,
    Fault,
    bomb,
    faulty,
    for_ever,
    head,
    packed,
    says,
    silence,
    then_half_closed,
    then_reset,
    whole,
)

LIMITS = Fetch(
    timeout_s=1.0,
    connect_timeout_s=0.5,
    max_bytes=300_000,
    max_redirects=2,
    max_tries=2,
    max_retry_after_s=0.2,
    per_host_interval_s=0.0,
    read_tdm_file=False,
)
# A connection, its buffers, the limit of the body three times over; an answer without end is far above.
MAX_PEAK_BYTES = 8 * MIB
URL = "http://a.sample.test/x"


@dataclass(frozen=True)
class Case:
    fault: Fault
    reason: Reason
    num_requests: int = 1


def redirect(location: str) -> Fault:
    return whole(b"", 302, Location=location)


CASES = {
    # time
    "slow drip": Case(for_ever(head(Content_Length=100_000), b"x", 0.05), Reason.TIMEOUT),
    "slow drip of a header": Case(for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05), Reason.TIMEOUT),
    "silence": Case(silence, Reason.TIMEOUT),
    "interim answers without end": Case(
        for_ever(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01), Reason.TIMEOUT
    ),
    # size
    "endless stream": Case(for_ever(head(), bytes(65_536)), Reason.TOO_MANY_BYTES),
    "endless chunks": Case(
        for_ever(head(Transfer_Encoding="chunked"), b"1000\r\n" + bytes(4096) + b"\r\n"),
        Reason.TOO_MANY_BYTES,
    ),
    "a gigabyte declared": Case(for_ever(head(Content_Length=10**9), b"x", 0.05), Reason.TOO_MANY_BYTES),
    "gzip bomb": Case(packed(bomb("gzip", 64 * MIB), "gzip"), Reason.TOO_MANY_BYTES),
    "deflate bomb": Case(packed(bomb("deflate", 64 * MIB), "deflate"), Reason.TOO_MANY_BYTES),
    "brotli bomb": Case(packed(bomb("br", 64 * MIB), "br"), Reason.TOO_MANY_BYTES),
    # busy
    "429": Case(whole(b"", 429), Reason.RATE_LIMITED, 2),
    "429 with a long Retry-After": Case(whole(b"", 429, Retry_After=3600), Reason.RATE_LIMITED),
    "503": Case(whole(b"", 503), Reason.HTTP_ERROR, 2),
    # redirects
    "redirect loop": Case(redirect("/x"), Reason.TOO_MANY_REDIRECTS, 3),
    "redirect to a private address": Case(redirect("http://10.0.0.1/x"), Reason.ADDRESS_NOT_PUBLIC),
    "redirect to the metadata of a cloud": Case(
        redirect("http://169.254.169.254/latest/meta-data/"), Reason.ADDRESS_NOT_PUBLIC
    ),
    "redirect to a name that is loopback": Case(redirect("http://localhost/x"), Reason.ADDRESS_NOT_PUBLIC),
    "redirect to another port": Case(redirect("http://example.com:22/x"), Reason.PORT_REFUSED),
    "redirect with credentials": Case(redirect("http://a:b@example.com/x"), Reason.URL_INVALID),
    "redirect to a file": Case(redirect("file:///etc/passwd"), Reason.URL_INVALID),
    # lies and cuts
    "length too long": Case(
        says(head(Content_Length=900) + b"half", then_close=True), Reason.ANSWER_CUT_SHORT, 2
    ),
    "chunks that break off": Case(
        says(head(Transfer_Encoding="chunked") + b"4\r\nhalf\r\n", then_close=True),
        Reason.ANSWER_CUT_SHORT,
        2,
    ),
    "half-closed in the body": Case(
        then_half_closed(head(Content_Length=900) + b"half"), Reason.ANSWER_CUT_SHORT, 2
    ),
    "half-closed before the header": Case(then_half_closed(b""), Reason.CONNECTION_FAILED, 2),
    "half-closed in the header": Case(then_half_closed(b"HTTP/1.1 200 OK\r\n"), Reason.CONNECTION_FAILED, 2),
    "reset in the body": Case(then_reset(head(Content_Length=900) + b"half"), Reason.ANSWER_CUT_SHORT, 2),
    "reset before the header": Case(then_reset(b""), Reason.CONNECTION_FAILED, 2),
    # no HTTP
    "another protocol": Case(says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), Reason.ANSWER_MALFORMED),
    "header line without end": Case(
        for_ever(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 10_000), Reason.ANSWER_MALFORMED
    ),
    "headers without end": Case(
        for_ever(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1_000), Reason.ANSWER_MALFORMED
    ),
    "two lengths": Case(
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), Reason.ANSWER_MALFORMED
    ),
    "chunk size that is no number": Case(
        says(head(Transfer_Encoding="chunked") + b"zz\r\nab\r\n"), Reason.ANSWER_MALFORMED
    ),
    "gzip that breaks off": Case(
        packed(gzip.compress(bytes(range(256)) * 99)[:-200], "gzip"), Reason.ANSWER_CUT_SHORT, 2
    ),
    "no gzip though it says so": Case(packed(b"no gzip at all", "gzip"), Reason.ANSWER_MALFORMED),
}


@pytest.mark.parametrize("name", CASES)
async def test_every_fault_ends_in_its_own_reason_in_bounded_time_and_memory(name: str) -> None:
    case = CASES[name]
    async with faulty({"/x": case.fault}) as server:
        network = Network(connect_to=(f"a.sample.test=127.0.0.1:{server.port}",))
        started = time.monotonic()
        tracemalloc.start()
        async with open_client(network, LIMITS) as client:
            answer = await client.download(URL)
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert isinstance(answer, Drop)
        assert (answer.reason, server.num_requests["/x"]) == (case.reason, case.num_requests)
        assert time.monotonic() - started < LIMITS.timeout_s + 0.7
        assert peak_bytes < MAX_PEAK_BYTES


async def peak_of_large_bodies(max_buffered_mb: int) -> int:
    """The most bytes of memory while twenty bodies of 4 MiB come in, all of which halt on their last byte."""
    piece, done = bytes(MIB // 16), 0

    async def halting(writer: asyncio.StreamWriter) -> None:
        writer.write(head(Content_Length=4 * MIB + 1))
        for _ in range(64):
            writer.write(piece)
            await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"x")

    async def download(number: int) -> None:
        nonlocal done
        answer = await client.download(f"http://{number}.sample.test/x")
        done += isinstance(answer, Download) and len(answer.body) == 4 * MIB + 1

    async with faulty({"/x": halting}) as server:
        network = Network(connect_to=(f"*.sample.test=127.0.0.1:{server.port}",))
        limits = replace(LIMITS, timeout_s=30, max_bytes=5 * MIB, hosts_per_address=20)
        async with open_client(network, replace(limits, max_buffered_mb=max_buffered_mb)) as client:
            tracemalloc.start()
            await asyncio.gather(*(download(number) for number in range(20)))
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
    assert done == 20
    return peak_bytes


async def test_large_bodies_that_come_together_stay_within_the_room_and_all_come_through() -> None:
    # What is held, the body that may overdraw, its copy, and half a megabyte for each connection.
    assert await peak_of_large_bodies(max_buffered_mb=4) < 40 * MIB
    assert await peak_of_large_bodies(max_buffered_mb=400) > 80 * MIB


async def test_a_content_type_that_lies_decides_nothing() -> None:
    async with faulty({"/x": whole(b"\xff\xd8\xff", Content_Type="text/html")}) as server:
        network = Network(connect_to=(f"a.sample.test=127.0.0.1:{server.port}",))
        async with open_client(network, LIMITS) as client:
            answer = await client.download(URL)
    assert isinstance(answer, Download)
    assert answer.body == b"\xff\xd8\xff"
