"""The HTTP session of an event loop: guarded names, verified TLS, and nothing of the environment in it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohappyeyeballs import AddrInfoType
from aiohttp.client_proto import ResponseHandler

from pipeline.fetch.exchange import tls_context
from pipeline.fetch.guard import ConnectTo
from pipeline.fetch.names import GuardedResolver, Names
from pipeline.fetch.robots import USER_AGENT_TOKEN
from pipeline.fetch.unpack import ACCEPTED


def user_agent(contact: str) -> str:
    """Return the honest name that hosts see."""
    return f"{USER_AGENT_TOKEN}/0.1" + (f" (+{contact})" if contact else "")


class Connector(aiohttp.TCPConnector):
    """Connects to the one address that was checked, by the loop's own call: aiohttp's way, which can try
    several addresses at once, takes a third of what a request costs."""

    async def _wrap_create_connection(
        self, *args: Any, addr_infos: list[AddrInfoType], **kwargs: Any
    ) -> tuple[asyncio.Transport, ResponseHandler]:
        host, port = addr_infos[0][4][:2]
        return await self._wrap_existing_connection(*args, host=host, port=port, **kwargs)


@asynccontextmanager
async def open_session(
    connect_to: ConnectTo, names: Names, connect_timeout_s: float, contact: str, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose requests carry our name and `headers`.

    Proxies, credentials and cookies of this machine's environment are not used.
    """
    connector = Connector(
        resolver=GuardedResolver(connect_to, names, connect_timeout_s),
        ssl=tls_context(),
        limit=0,  # the client's gate limits them
        use_dns_cache=False,  # `names` remembers
    )
    named = {"User-Agent": user_agent(contact), "Accept": "image/*,*/*;q=0.5", "Accept-Encoding": ACCEPTED}
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        headers={**named, **headers},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,  # see unpack
    ) as session:
        # aiohttp would ask once more by itself where a connection breaks: a host would see twice as many
        # requests as the client counts and paces. It has tries of its own.
        session._retry_connection = False
        yield session
