"""HTTPS: verified, with connections kept; certificates that do not hold have a reason of their own."""

import asyncio
import datetime
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from filters.reasons import Drop
from pipeline.fetch.answers import Download
from pipeline.fetch.client import open_client
from pipeline.fetch.exchange import tls_context
from pipeline.limits import Fetch, Network
from tests.faults import FaultServer, faulty, whole

HOST = "a.sample.test"
LIMITS = Fetch(timeout_s=3, max_tries=1, per_host_interval_s=0.0, per_host_concurrency=1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(autouse=True)
def _trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def serving_with(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def download_all(server: FaultServer, number: int) -> list[Download | Drop]:
    network = Network(connect_to=(f"{HOST}=127.0.0.1:{server.port}",))
    async with open_client(network, LIMITS) as client:
        return list(await asyncio.gather(*(client.download(f"https://{HOST}/x") for _ in range(number))))


async def test_https_is_verified_and_one_connection_serves_all_that_wait_for_a_host(
    authority: trustme.CA,
) -> None:
    async with faulty({"/x": whole(b"cup")}, tls=serving_with(authority.issue_cert(HOST))) as server:
        answers = await download_all(server, 6)
        assert [answer.body for answer in answers if isinstance(answer, Download)] == [b"cup"] * 6
        assert server.num_connections == 1


@pytest.mark.parametrize(
    ("problem", "detail"),
    [
        ("expired", "certificate has expired"),
        ("of another host", f"Hostname mismatch, certificate is not valid for '{HOST}'."),
        ("of an unknown authority", "unable to get local issuer certificate"),
    ],
)
async def test_a_certificate_that_does_not_hold_has_its_own_reason(
    authority: trustme.CA, problem: str, detail: str
) -> None:
    certificate = {
        "expired": lambda: authority.issue_cert(
            HOST, not_after=datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
        ),
        "of another host": lambda: authority.issue_cert("b.sample.test"),
        "of an unknown authority": lambda: trustme.CA().issue_cert(HOST),
    }[problem]()
    async with faulty({"/x": whole(b"cup")}, tls=serving_with(certificate)) as server:
        (answer,) = await download_all(server, 1)
        assert str(answer) == f"tls_failed: robots.txt: {detail}"
        assert not server.num_requests


async def test_a_port_that_speaks_no_tls_has_its_own_reason() -> None:
    async def answer_at_once(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Plain\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer_at_once, "127.0.0.1") as server:
        (answer,) = await download_all(FaultServer(server.sockets[0].getsockname()[1]), 1)
    assert str(answer).startswith("tls_failed: robots.txt: ")


def test_a_process_has_one_tls_context() -> None:
    assert tls_context() is tls_context()
    assert tls_context().verify_mode == ssl.CERT_REQUIRED
    assert tls_context().check_hostname
