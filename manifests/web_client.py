"""The client by which fsspec reads from web servers: one that asks again."""

import asyncio
from typing import Any

import aiohttp

from manifests.protocols import PAUSES_S

# Busy, or broken for a while; all others are answers.
PASSING = (408, 429, 500, 502, 503, 504)


async def patient_client(loop: asyncio.AbstractEventLoop, **settings: Any) -> aiohttp.ClientSession:
    """Return a client that asks busy servers again, and all for ranges that were cut."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30)
    return aiohttp.ClientSession(loop=loop, timeout=timeout, middlewares=(_ask_again,), **settings)


async def _ask_again(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    for pause_s in PAUSES_S:
        try:
            response = await handler(request)
            if response.status == 206:
                await response.read()  # kept by the response; what is no range may be endless
            if response.status not in PASSING:
                return response
            response.close()
        except (aiohttp.ClientError, TimeoutError):
            pass
        await asyncio.sleep(pause_s)
    return await handler(request)
