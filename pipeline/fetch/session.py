"""The HTTP session of an event loop: guarded names, verified TLS, and nothing of the environment in it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from pipeline.fetch.exchange import tls_context
from pipeline.fetch.guard import ConnectTo
from pipeline.fetch.names import GuardedResolver, Names
from pipeline.fetch.robots import USER_AGENT_TOKEN
from pipeline.fetch.unpack import ACCEPTED


def user_agent(contact: str) -> str:
    """Return the honest name that hosts see."""
    return f"{USER_AGENT_TOKEN}/0.1" + (f" (+{contact})" if contact else "")


@asynccontextmanager
async def open_session(
    connect_to: ConnectTo, names: Names, connect_timeout_s: float, contact: str, headers: Mapping[str, str]
) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a session whose requests carry our name and `headers`.

    Proxies, credentials and cookies of this machine's environment are not used.
    """
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(connect_to, names, connect_timeout_s),
        ssl=tls_context(),
        limit=0,  # the client's gate limits them
        use_dns_cache=False,  # `names` remembers
        happy_eyeballs_delay=None,  # one address at a time, so that its limits hold
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
