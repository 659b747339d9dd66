"""A web on localhost: many hosts behind one port, each address with its own behaviour, good or bad.

It knows nothing of what it serves. Fill a `Web`, then

    with serving(web) as served:
        ...  # connect to served.connect_to: "*.sample.test=127.0.0.1:PORT"
"""

import asyncio
import socket
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from aiohttp import web

Flow = Literal["whole", "drip", "endless", "reset"]
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
BLOCK = bytes(64 * 1024)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """What one address answers."""

    body: bytes | Path = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    flow: Flow = "whole"
    """whole; drip: the header, then a byte now and then; endless: as much as is taken; reset: hang up."""
    delay_s: float = 0.0
    """Time before the answer begins."""
    num_refusals: int = 0
    """The first so many requests get 429 with Retry-After: 1, all later ones the answer."""

    def read(self) -> bytes:
        """Return the body's bytes."""
        return self.body if isinstance(self.body, bytes) else self.body.read_bytes()


@dataclass
class Web:
    """Addresses and what they answer, and the record of who asked."""

    resources: dict[tuple[str, str], Resource] = field(default_factory=dict)
    handlers: dict[tuple[str, str], Handler] = field(default_factory=dict)
    num_requests: Counter[str] = field(default_factory=Counter)
    """Requests per URL (http://HOST/PATH?QUERY)."""
    max_concurrent: Counter[str] = field(default_factory=Counter)
    """The most requests that a host had in hand at once."""
    user_agents: set[str] = field(default_factory=set)
    _open: Counter[str] = field(default_factory=Counter)

    def add(self, url: str, resource: Resource) -> None:
        """Let an address answer. Raises ValueError where it does already, or is no http URL."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r} cannot be served: write http://HOST/PATH")
        key = (parts.hostname, parts.path + (f"?{parts.query}" if parts.query else ""))
        if key in self.resources:
            raise ValueError(f"{url} has an answer already: an address can have only one")
        self.resources[key] = resource

    def mount(self, host: str, path: str, handler: Handler) -> None:
        """Let a function answer all requests for a path, whatever their query."""
        self.handlers[host, path] = handler

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, and keep the record."""
        host = (request.host or "").partition(":")[0].lower()
        self.num_requests[f"http://{host}{request.raw_path}"] += 1
        self.user_agents.add(request.headers.get("User-Agent", ""))
        self._open[host] += 1
        self.max_concurrent[host] = max(self.max_concurrent[host], self._open[host])
        try:
            if handler := self.handlers.get((host, request.path)):
                return await handler(request)
            resource = self.resources.get((host, request.raw_path))
            if resource is None:
                return web.Response(status=404, text="Not found\n")
            if self.num_requests[f"http://{host}{request.raw_path}"] <= resource.num_refusals:
                return web.Response(status=429, headers={"Retry-After": "1"}, text="Too many requests\n")
            await asyncio.sleep(resource.delay_s)
            return await FLOWS[resource.flow](request, resource)
        finally:
            self._open[host] -= 1


async def send_whole(_request: web.BaseRequest, resource: Resource) -> web.StreamResponse:
    """Send the body at once."""
    return web.Response(status=resource.status, headers=resource.headers, body=resource.read())


async def send_drip(request: web.BaseRequest, resource: Resource) -> web.StreamResponse:
    """Send the header, then the body's bytes one by one, then zeros, until the other side gives up."""
    response = web.StreamResponse(status=resource.status, headers=resource.headers)
    await response.prepare(request)
    body, position = resource.read(), 0
    while True:
        await response.write(body[position : position + 1] or b"\0")
        position += 1
        await asyncio.sleep(0.1)


async def send_endless(request: web.BaseRequest, resource: Resource) -> web.StreamResponse:
    """Send the body, then zeros as fast as they are taken."""
    response = web.StreamResponse(status=resource.status, headers=resource.headers)
    await response.prepare(request)
    await response.write(resource.read())
    while True:
        await response.write(BLOCK)
        await asyncio.sleep(0)


async def send_reset(request: web.BaseRequest, _resource: Resource) -> web.StreamResponse:
    """Hang up without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


FLOWS: dict[Flow, Callable[[web.BaseRequest, Resource], Awaitable[web.StreamResponse]]] = {
    "whole": send_whole,
    "drip": send_drip,
    "endless": send_endless,
    "reset": send_reset,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A web while it is served."""

    web: Web
    port: int
    connect_to: tuple[str, ...]
    """HOST=ADDRESS:PORT of every name, for clients that take such a table."""


@contextmanager
def serving(
    content: Web, *, domain: str = "sample.test", closed_hosts: tuple[str, ...] = (), port: int = 0
) -> Iterator[Served]:
    """Serve a web on 127.0.0.1 until the block ends, from a thread of its own; port 0 takes a free one.

    `closed_hosts` are names under which nothing listens. Leaving the block cuts open connections. Raises
    ValueError for a port that is taken.
    """
    with socket.socket() as closed, socket.socket() as listening:
        closed.bind(("127.0.0.1", 0))  # bound, never listening: connections to it are refused
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
        except OSError as error:
            raise ValueError(
                f"port {port} of 127.0.0.1 is not to be had ({error.strerror}): give another, or 0"
            ) from error
        listening.listen(512)
        port = listening.getsockname()[1]
        entries = [f"{host}=127.0.0.1:{closed.getsockname()[1]}" for host in closed_hosts]
        loop = asyncio.new_event_loop()
        stop = asyncio.Event()
        thread = threading.Thread(
            target=lambda: loop.run_until_complete(_serve(content, listening, stop)), daemon=True
        )
        thread.start()
        try:
            yield Served(web=content, port=port, connect_to=(*entries, f"*.{domain}=127.0.0.1:{port}"))
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


async def _serve(content: Web, listening: socket.socket, stop: asyncio.Event) -> None:
    """Answer on a listening socket until `stop` is set."""
    answering: set[asyncio.Task[object]] = set()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        try:
            return await content.answer(request)
        except (ConnectionError, asyncio.CancelledError) as error:
            raise asyncio.CancelledError from error  # the other side has gone: nobody is left to be answered
        finally:
            answering.discard(task)

    runner = web.ServerRunner(
        web.Server(answer, access_log=None),
        shutdown_timeout=0.1,
    )
    await runner.setup()
    await web.SockSite(runner, listening).start()
    await stop.wait()
    for task in list(answering):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await runner.cleanup()
