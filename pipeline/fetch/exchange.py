"""One request and its answer, within a deadline and a size; every way it can fail under its own reason."""

import asyncio
import errno
import functools
import ssl

import aiohttp
from yarl import URL

from filters.reasons import Drop, Reason
from filters.urls import canonical_url
from pipeline.fetch.answers import Answer, Failure, retry_after_s
from pipeline.fetch.buffer import Buffer, Hold
from pipeline.fetch.gate import Sign
from pipeline.fetch.guard import AddressRefusedError
from pipeline.fetch.unpack import too_many_bytes, unpack

REDIRECTS = {301, 302, 303, 307, 308}
BUSY = {429, 500, 502, 503, 504}
# This machine has run out of something.
NO_SOCKETS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
CLOSE = {"Connection": "close"}


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Return the one TLS context of this process: reading the authorities costs 18 ms. They are the system's,
    or those of the file that SSL_CERT_FILE names."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def exchange(
    session: aiohttp.ClientSession,
    url: URL,
    *,
    max_bytes: int,
    deadline_s: float,
    buffer: Buffer,
    keep_alive: bool = True,
    read_errors: bool = False,
) -> Answer | Failure | URL:
    """Make one request: its answer, its failure, or where it redirects to.

    `read_errors`: also read the body of an answer whose status is an error's. `keep_alive` False: nobody else
    waits for this host, and its connection is not kept.
    """
    begun = False
    try:
        headers = None if keep_alive else CLOSE
        async with (
            asyncio.timeout(deadline_s),
            session.get(url, allow_redirects=False, headers=headers) as response,
        ):
            begun = True
            if response.status in REDIRECTS and "Location" in response.headers:
                return _redirect(url, response.headers["Location"])
            if response.status in BUSY:
                return _busy(response.status, response.headers.get("Retry-After"))
            if response.status >= 400 and not read_errors:
                return Answer(response.status, response.headers, b"")
            with Hold(buffer) as hold:
                body = await _read(response, max_bytes, hold)
            if isinstance(body, Drop):
                return Failure(drop=body, passing=body.reason == Reason.ANSWER_CUT_SHORT, backoff_s=0.25)
            return Answer(response.status, response.headers, body)
    except TimeoutError as error:
        return _too_late(error, begun)
    except aiohttp.ClientConnectorError as error:
        return _unconnected(url, error)
    except aiohttp.InvalidURL:
        return Failure(drop=Drop(Reason.URL_INVALID, "not a URL that can be asked for"))
    except (aiohttp.ClientError, OSError) as error:
        return _broken(error, begun)


async def _read(response: aiohttp.ClientResponse, max_bytes: int, hold: Hold) -> bytes | Drop:
    """Read a body while it is small enough, and unpack it; its declared length only lets us stop early."""
    if (response.content_length or 0) > max_bytes:
        return too_many_bytes(max_bytes)
    chunks: list[bytes] = []
    num_bytes = 0
    while chunk := await response.content.readany():
        chunks.append(chunk)
        num_bytes += len(chunk)
        await hold.grow(len(chunk))
        if num_bytes > max_bytes:
            return too_many_bytes(max_bytes)
    body = b"".join(chunks)
    encodings = response.headers.get("Content-Encoding")
    return unpack(body, encodings, max_bytes) if encodings else body


def _redirect(url: URL, location: str) -> URL | Failure:
    try:
        target = canonical_url(str(url.join(URL(location))))
    except ValueError:
        target = None
    if target is None:
        detail = "redirects to what is not an http or https URL"
        return Failure(drop=Drop(Reason.URL_INVALID, detail))
    return URL(target, encoded=True)


def _busy(status: int, retry_after: str | None) -> Failure:
    reason = Reason.RATE_LIMITED if status == 429 else Reason.HTTP_ERROR
    drop = Drop(reason, f"status {status}")
    pause_s = None if retry_after is None else retry_after_s(retry_after)
    return Failure(drop=drop, passing=True, pause_s=pause_s, is_hosts=True)


def _too_late(error: TimeoutError, begun: bool) -> Failure:
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        drop = Drop(Reason.TIMEOUT, "no connection in time")
        return Failure(drop=drop, passing=True, is_hosts=True, sign=Sign.SLOW)
    drop = Drop(Reason.TIMEOUT, "no whole answer in time" if begun else "no answer in time")
    return Failure(drop=drop, is_hosts=not begun, sign=Sign.SLOW)


def _unconnected(url: URL, error: aiohttp.ClientConnectorError) -> Failure:
    """Say why there is no connection."""
    if isinstance(error.os_error, AddressRefusedError):
        return Failure(drop=error.os_error.drop)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Failure(drop=Drop(Reason.NAME_NOT_RESOLVED, f"no address for {url.host}"))
    if isinstance(error, aiohttp.ClientSSLError):
        return Failure(drop=Drop(Reason.TLS_FAILED, _tls_problem(error)))
    drop = Drop(Reason.CONNECTION_FAILED, type(error.os_error).__name__)
    if error.os_error.errno in NO_SOCKETS:
        return Failure(drop=drop, passing=True, sign=Sign.STRAINED)
    return Failure(drop=drop, passing=True, is_hosts=True, backoff_s=0.5)


def _tls_problem(error: aiohttp.ClientSSLError) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return getattr(error.certificate_error, "verify_message", None) or "certificate refused"
    return getattr(error.os_error, "reason", None) or type(error.os_error).__name__


def _broken(error: aiohttp.ClientError | OSError, begun: bool) -> Failure:
    """Say how a connection broke after it was made."""
    cause = error.__cause__ if isinstance(error, aiohttp.ClientPayloadError) else error
    name = type(cause or error).__name__
    if isinstance(error, aiohttp.ClientResponseError):
        return Failure(drop=Drop(Reason.ANSWER_MALFORMED, name))
    reason = Reason.ANSWER_CUT_SHORT if begun else Reason.CONNECTION_FAILED
    return Failure(drop=Drop(reason, name), passing=True, backoff_s=0.25)
