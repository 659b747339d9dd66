"""A folder served by a static web server, as people serve datasets: files and ranges of them, no listing."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web


@dataclass
class Served:
    """A web server while it runs."""

    url: str = ""
    num_to_fail: int = 0
    """Of the next requests, so many are answered 503."""
    num_to_cut: int = 0
    """Of the next answers, so many end in the midst of their body."""
    requests: Counter[str] = field(default_factory=Counter)
    """By path."""


async def _cut(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(status=206 if "Range" in request.headers else 200)
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b"half of it")
    assert request.transport
    request.transport.abort()
    return response


@contextmanager
def serving_folder(folder: Path) -> Iterator[Served]:
    """Serve a folder, from a thread of this process."""
    served, loop, ready = Served(), asyncio.new_event_loop(), threading.Event()
    stop = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        served.requests[request.path] += 1
        if served.num_to_fail:
            served.num_to_fail -= 1
            return web.Response(status=503)
        if served.num_to_cut and request.method == "GET":
            served.num_to_cut -= 1
            return await _cut(request)
        path = folder / request.match_info["path"]
        return web.FileResponse(path) if path.is_file() else web.Response(status=404)

    async def serve() -> None:
        app = web.Application()
        app.add_routes([web.get("/data/{path:.*}", answer)])
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        served.url = f"http://127.0.0.1:{runner.addresses[0][1]}/data"
        ready.set()
        await stop.wait()
        await runner.cleanup()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
