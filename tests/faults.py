"""A server that misbehaves in every way known: what it says is written byte by byte, not by an HTTP library.

Each fault is a coroutine that answers one request on an open connection. `faulty` serves them by path.
"""

import asyncio
import ssl
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import brotli

Fault = Callable[[asyncio.StreamWriter], Awaitable[None]]
MIB = 1 << 20


@dataclass
class FaultServer:
    """A server while it runs, and what it has seen."""

    port: int
    num_requests: Counter[str] = field(default_factory=Counter)
    """By path."""
    num_connections: int = 0


@asynccontextmanager
async def faulty(
    faults: Mapping[str, Fault], *, address: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[FaultServer]:
    """Serve faults by path; every other path is not found. Connections that are open at the end are cut."""
    seen = FaultServer(0)
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.num_connections += 1
        try:
            while not writer.is_closing():
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
                seen.num_requests[path] += 1
                await faults.get(path, not_found)(writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    async with await asyncio.start_server(begin, address, ssl=tls) as server:
        seen.port = server.sockets[0].getsockname()[1]
        yield seen
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
        await asyncio.sleep(0.01)  # connections are closed in the next rounds of the loop


def says(answer: bytes, *, then_close: bool = False) -> Fault:
    """A fault that says these very bytes, however little they are HTTP."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if then_close:
            writer.close()

    return fault


def head(status: int = 200, **headers: object) -> bytes:
    """The first lines of an answer; `Content_Length=3` is the header Content-Length: 3."""
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} Said\r\n{lines}\r\n".encode()


def whole(body: bytes, status: int = 200, **headers: object) -> Fault:
    """No fault: a body with its length."""
    return says(head(status, Content_Length=len(body), **headers) + body)


not_found = whole(b"", 404)


def packed(body: bytes, encoding: str) -> Fault:
    """A body said to be packed so."""
    return whole(body, Content_Encoding=encoding)


def for_ever(first: bytes, again: bytes, pause_s: float = 0.0) -> Fault:
    """Bytes, then the same others for as long as they are taken."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return fault


def then_half_closed(first: bytes) -> Fault:
    """Bytes, then the end of what is said; the other direction stays open."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        writer.write_eof()
        await asyncio.sleep(30)

    return fault


def then_reset(first: bytes) -> Fault:
    """Bytes, then a reset."""

    async def fault(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()

    return fault


async def silence(_writer: asyncio.StreamWriter) -> None:
    """The connection is taken, and that is all."""
    await asyncio.sleep(30)


def bomb(encoding: str, num_bytes: int) -> bytes:
    """Zeros, packed; made in blocks, since the memory is what is watched."""
    block = bytes(MIB)
    if encoding == "br":
        packer = brotli.Compressor(quality=1)
        packed: bytes = b"".join(packer.process(block) for _ in range(num_bytes // MIB)) + packer.finish()
        return packed
    wbits = {"gzip": 31, "deflate": 15}[encoding]
    deflater = zlib.compressobj(9, wbits=wbits)
    return b"".join(deflater.compress(block) for _ in range(num_bytes // MIB)) + deflater.flush()
