"""Transfer and content encodings, which some crawlers keep in their files and some undo without saying so."""

import re
import zlib
from collections.abc import Mapping

import brotli

MAX_PAGE_BYTES = 20_000_000
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,8})[^\r\n]*\r?\n")
GZIP_MAGIC = b"\x1f\x8b"


def undone(headers: Mapping[str, str], body: bytes) -> bytes:
    """Return a body without its encodings, as much as can be had of one that was cut.

    What the header says is believed only where the body agrees. At most MAX_PAGE_BYTES are unpacked. Raises
    ValueError for a body that is packed and cannot be unpacked.
    """
    named = {name.lower(): value.strip().lower() for name, value in headers.items()}
    if "chunked" in named.get("transfer-encoding", ""):
        body = joined_chunks(body)
    encoding = named.get("content-encoding", "")
    if body.startswith(GZIP_MAGIC):
        return _inflated(body, zlib.MAX_WBITS | 16)
    if encoding == "deflate" and not body.lstrip().startswith(b"<"):
        return _inflated(body, zlib.MAX_WBITS if body[:1] == b"\x78" else -zlib.MAX_WBITS)
    if encoding == "br" and not body.lstrip().startswith(b"<"):
        return _unbrotlied(body)
    return body


def joined_chunks(body: bytes) -> bytes:
    """Return the bytes of a chunked body (RFC 9112, 7.1); one that is not chunked is returned as it is.

    >>> joined_chunks(bytes.fromhex("330d0a6162630d0a300d0a0d0a")), joined_chunks(b"<html>")
    (b'abc', b'<html>')
    """
    parts, position = list[bytes](), 0
    while match := _CHUNK.match(body, position):
        size = int(match[1], 16)
        if size == 0:
            break
        parts.append(body[match.end() : match.end() + size])
        position = match.end() + size
        position += 2 if body.startswith(b"\r\n", position) else 0
    return b"".join(parts) if parts else body


def _inflated(body: bytes, window_bits: int) -> bytes:
    try:
        return zlib.decompressobj(window_bits).decompress(body, MAX_PAGE_BYTES)
    except zlib.error as error:
        raise ValueError(f"the page cannot be unpacked: {error}") from error


def _unbrotlied(body: bytes) -> bytes:
    try:
        page: bytes = brotli.Decompressor().process(body, output_buffer_limit=MAX_PAGE_BYTES)
    except brotli.error as error:
        raise ValueError(f"the page cannot be unpacked: {error}") from error
    return page
