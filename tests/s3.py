"""An S3 server on this machine (moto, in a process of its own) behind a proxy that misbehaves on purpose.

The proxy speaks just enough HTTP to tell one request from the next. A share of them, drawn by a seed, is
answered 500 or 503, or late, or loses its connection in the midst of its own body or of the answer's.
"""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest import mock

FAULTS = ("busy", "broken", "slow", "cut request", "cut answer")
SLOW_S = 0.3
_BUSY = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_BROKEN = b"<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>"


@dataclass
class S3:
    """A server while it runs: where it is, what was asked of it, and what went wrong on purpose."""

    port: int
    share_of_faults: float = 0.0
    seed: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    """By method."""
    num_bytes: int = 0
    """Of the answers' bodies."""
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def environment(self) -> dict[str, str]:
        """What tells any S3 client to come here."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


@contextmanager
def serving_s3(share_of_faults: float = 0.0, seed: int = 0, bucket: str = "bucket") -> Iterator[S3]:
    """Serve an empty bucket, and point this process's environment (and so that of others) to it."""
    import s3fs

    with _moto() as upstream, _proxy(upstream, seed) as s3, mock.patch.dict(os.environ, s3.environment):
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(bucket)
        s3fs.S3FileSystem.clear_instance_cache()
        s3.requests.clear()
        s3.share_of_faults = share_of_faults
        yield s3
        s3fs.S3FileSystem.clear_instance_cache()


@contextmanager
def _moto() -> Iterator[int]:
    """Run the server until its standard input ends, as it does with this process."""
    command = [sys.executable, "-m", "tests.s3"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:  # type: ignore[call-overload]
        yield int(process.stdout.readline())
        process.stdin.close()


def main() -> None:
    """Serve on a free port, which is printed."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()
    os._exit(0)


@contextmanager
def _proxy(upstream: int, seed: int) -> Iterator[S3]:
    """Run the proxy in a thread."""
    s3, rng = S3(0, seed=seed), random.Random(seed)
    loop, ready = asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def serve() -> None:
        connections = set[asyncio.Task[None]]()

        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_relay(s3, rng, upstream, reader, writer))
            connections.add(task)
            task.add_done_callback(connections.discard)

        async with await asyncio.start_server(begin, "127.0.0.1", limit=1 << 20) as server:
            s3.port = server.sockets[0].getsockname()[1]
            ready.set()
            await stop.wait()
            for task in connections:
                task.cancel()
            await asyncio.gather(*connections, return_exceptions=True)

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield s3
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


async def _relay(
    s3: S3,
    rng: random.Random,
    upstream: int,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Pass the requests of one connection on, each with its answer."""
    to_reader, to_writer = await asyncio.open_connection("127.0.0.1", upstream, limit=1 << 20)
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            method = head.split(b" ", 1)[0].decode()
            s3.requests[method] += 1
            fault = rng.choice(FAULTS) if rng.random() < s3.share_of_faults else ""
            s3.faults[fault] += bool(fault)
            if fault == "cut request":
                await asyncio.wait_for(reader.read(100), 0.05)
                return
            if b"100-continue" in head.lower():
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await _body(reader, head)
            if fault in ("busy", "broken"):
                said, why = (b"503 Slow Down", _BUSY) if fault == "busy" else (b"500 Broken", _BROKEN)
                writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (said, len(why)))
                writer.write(b"" if method == "HEAD" else why)
                await writer.drain()
                continue
            to_writer.write(_without_expect(head) + body)
            answer = await to_reader.readuntil(b"\r\n\r\n")
            has_body = method != "HEAD" and answer.split(b" ")[1] not in (b"204", b"304")
            content = await _body(to_reader, answer) if has_body else b""
            if fault == "cut answer":
                writer.write(answer + content[: len(content) // 2] if content else answer[:10])
                await writer.drain()
                return
            await asyncio.sleep(SLOW_S if fault == "slow" else 0)
            s3.num_bytes += len(content)
            writer.write(answer + content)
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, TimeoutError):
        pass
    finally:
        for end in (writer, to_writer):
            end.transport.abort()


async def _body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Return the body that follows a head, as it came."""
    lines = head.lower().split(b"\r\n")
    if length := next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), None):
        return await reader.readexactly(length)
    if not any(line.startswith(b"transfer-encoding:") and b"chunked" in line for line in lines):
        return b""
    body = b""
    while True:
        size = await reader.readuntil(b"\r\n")
        length = int(size.split(b";")[0], 16)
        if not length:
            return body + size + await _trailer(reader)
        body += size + await reader.readexactly(length + 2)


async def _trailer(reader: asyncio.StreamReader) -> bytes:
    lines = b""
    while not lines.endswith(b"\r\n\r\n") and lines != b"\r\n":
        lines += await reader.readuntil(b"\r\n")
    return lines


def _without_expect(head: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"expect:")]
    return b"\r\n".join(lines)


if __name__ == "__main__":
    main()
