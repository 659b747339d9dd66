"""Names: what they resolve to is checked, remembered for a while, and asked for off the event loop."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from filters.reasons import Drop, Reason
from pipeline.fetch.client import open_client
from pipeline.fetch.guard import check_address
from pipeline.fetch.names import THREADS, Found, Names, NotFound
from pipeline.limits import Fetch, Network
from tests.faults import faulty, whole

# A public address by its form that nobody has been given: nothing is ever asked there.
NOBODYS = "3c00::1"


class Book:
    """A resolver that answers from a list, the last entry for ever, and counts."""

    def __init__(self, *answers: list[str] | int | float) -> None:
        self._answers: Iterator[list[str] | int | float] = itertools.chain(
            answers, itertools.repeat(answers[-1])
        )
        self.num_asked = 0

    def __call__(self, host: str) -> list[str]:
        self.num_asked += 1
        answer = next(self._answers)
        if isinstance(answer, float):
            time.sleep(answer)
            return [NOBODYS]
        if isinstance(answer, int):
            raise socket.gaierror(answer, "said so")
        return answer


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["8.8.8.8"], ("8.8.8.8",)),
        (["8.8.8.8", "10.0.0.1", "::1"], ("8.8.8.8",)),
        (["127.0.0.1"], None),
        (["10.1.2.3", "fc00::1"], None),
        (["::ffff:192.168.0.1"], None),
        (["169.254.169.254"], None),
    ],
)
async def test_of_a_names_addresses_only_the_public_are_seen(
    addresses: list[str], expected: tuple[str, ...] | None
) -> None:
    found = await Names(Book(addresses)).find("a.test", 1)
    if expected is None:
        assert isinstance(found, NotFound)
        assert found.drop.reason == Reason.ADDRESS_NOT_PUBLIC
    else:
        assert found == Found(expected)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "169.254.0.1", "172.16.0.1"),
        *("192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1"),
        *("203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
        *("::", "::1", "::8.8.8.8", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::808:808", "100::1"),
        *("2001::1", "2001:db8::1", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fe80::1"),
        *("fec0::1", "ff02::1"),
    ],
)
def test_no_address_that_is_not_global_may_be_reached(address: str) -> None:
    assert check_address(address) is not None


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_global_addresses_may_be_reached(address: str) -> None:
    assert check_address(address) is None


async def test_a_name_that_changes_its_mind_between_check_and_connection_never_leads_inside() -> None:
    async with faulty({"/secret": whole(b"secret")}) as server:
        limits = Fetch(
            timeout_s=1, connect_timeout_s=0.2, max_tries=1, allowed_ports=(server.port,), host_down_after=99
        )
        book = Book(*([[NOBODYS], ["127.0.0.1"]] * 20))
        names = Names(book, lifetime_s=0, negative_lifetime_s=0)
        async with open_client(Network(), limits, names=names) as client:
            urls = [f"http://{host}.evil.test:{server.port}/secret" for host in range(6)]
            answers = [await client.download(url) for url in urls]
        assert all(isinstance(answer, Drop) for answer in answers)
        assert server.num_connections == 0
        assert book.num_asked > len(urls)


async def test_a_name_is_asked_for_once_however_many_want_it_and_again_when_its_time_is_over() -> None:
    book = Book(0.05)
    names = Names(book, lifetime_s=0.2)
    await asyncio.gather(*(names.find("a.test", 1) for _ in range(9)))
    assert (book.num_asked, names.num_asked) == (1, 1)
    await asyncio.sleep(0.3)
    await names.find("a.test", 1)
    assert book.num_asked == 2


async def test_no_more_names_are_remembered_than_allowed() -> None:
    book = Book([NOBODYS])
    names = Names(book, max_names=2)
    for host in ("a", "b", "c", "b", "c", "a"):
        await names.find(host, 1)
    assert book.num_asked == 4


async def test_no_such_name_is_an_answer_and_no_answer_is_a_failure() -> None:
    gone, broken = Names(Book(socket.EAI_NONAME)), Names(Book(socket.EAI_AGAIN))
    found = [await names.find("a.test", 1) for names in (gone, broken)]
    drop = Drop(Reason.NAME_NOT_RESOLVED, "no address for a.test")
    assert found == [NotFound(drop, passing=False), NotFound(drop, passing=True)]
    assert (gone.num_failed, broken.num_failed) == (0, 1)


async def test_a_resolver_that_hangs_holds_nobody_up_and_is_a_failure() -> None:
    names = Names(Book(0.4))
    started = time.monotonic()
    found = await names.find("a.test", 0.1)
    assert isinstance(found, NotFound)
    assert found.passing
    assert time.monotonic() - started < 0.3
    assert names.num_failed == 1


async def test_names_are_asked_for_on_a_bounded_number_of_threads() -> None:
    now, most = 0, 0
    lock = threading.Lock()

    def lookup(_host: str) -> list[str]:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return [NOBODYS]

    names = Names(lookup)
    await asyncio.gather(*(names.find(f"{number}.test", 5) for number in range(200)))
    assert THREADS / 2 < most <= THREADS


async def test_an_address_that_is_not_reached_is_followed_by_the_next() -> None:
    names = Names(Book(["3c00::1", "3c00::2"]))
    limits = Fetch(timeout_s=2, connect_timeout_s=0.2, max_tries=1)
    async with open_client(Network(), limits, names=names) as client:
        await client.download("http://a.test/x")
    assert await names.find("a.test", 1) == Found(("3c00::2", "3c00::1"))
