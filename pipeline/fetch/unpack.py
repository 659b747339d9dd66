"""Bodies that come packed (Content-Encoding): unpacked within the limit, whole or not at all."""

import zlib

import brotli

from filters.reasons import Drop, Reason

ACCEPTED = "gzip, deflate, br"
GZIP = b"\x1f\x8b"


def unpack(body: bytes, encodings: str, max_bytes: int) -> bytes | Drop:
    """Return the bytes that a body of these encodings holds, as it is where they are none that we know.

    At most `max_bytes` and one more are unpacked at any time, and what breaks off is not passed on: the HTTP
    library's own unpacking does not notice where gzip ends early.

    >>> import gzip
    >>> unpack(gzip.compress(b"cup"), "gzip", 10), str(unpack(gzip.compress(b"cup")[:-1], "gzip", 10))
    (b'cup', 'answer_cut_short: gzip breaks off')
    """
    for encoding in reversed(encodings.lower().split(",")):  # the last was put on last
        name = encoding.strip().removeprefix("x-")
        if name in ("gzip", "deflate", "br") and body:
            try:
                found = _unbrotli(body, max_bytes) if name == "br" else _inflate(body, name, max_bytes)
            except (zlib.error, brotli.error):
                return Drop(Reason.ANSWER_MALFORMED, f"no {name}, though it says so")
            if isinstance(found, Drop):
                return found
            body = found
    return body


def _inflate(body: bytes, name: str, max_bytes: int) -> bytes | Drop:
    """Unpack gzip, of which several may follow each other, or deflate, with its header or without."""
    whole = b""
    while True:
        inflater = zlib.decompressobj(_window_bits(body, name))
        whole += inflater.decompress(body, max_bytes + 1 - len(whole))
        if len(whole) > max_bytes:
            return too_many_bytes(max_bytes)
        if not inflater.eof:
            return Drop(Reason.ANSWER_CUT_SHORT, f"{name} breaks off")
        body = inflater.unused_data
        if not body.startswith(GZIP):
            return whole


def _window_bits(body: bytes, name: str) -> int:
    if name == "gzip":
        return 31
    # "deflate" means zlib's format (RFC 9110), whose first byte says so; some send the bare stream.
    return 15 if body[0] & 0x0F == 8 else -15


def _unbrotli(body: bytes, max_bytes: int) -> bytes | Drop:
    decompressor = brotli.Decompressor()
    whole: bytes = decompressor.process(body, output_buffer_limit=max_bytes + 1)
    # As long as it wants no more bytes, it holds back what did not fit.
    while len(whole) <= max_bytes and not (decompressor.is_finished() or decompressor.can_accept_more_data()):
        whole += decompressor.process(b"", output_buffer_limit=max_bytes + 1 - len(whole))
    if len(whole) > max_bytes:
        return too_many_bytes(max_bytes)
    return whole if decompressor.is_finished() else Drop(Reason.ANSWER_CUT_SHORT, "br breaks off")


def too_many_bytes(max_bytes: int) -> Drop:
    """Return the verdict on a larger body."""
    return Drop(Reason.TOO_MANY_BYTES, f"more than {max_bytes} bytes")
