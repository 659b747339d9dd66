"""One download: the client with all its checks and manners against aiohttp alone, from an nginx on localhost.

CPU seconds are this process's own. 90 kB each, 64 in flight, from 8 names; every request on a connection of
its own (keepalive 0), or on connections that are kept. TLS: one context, no resumed sessions.
"""

import asyncio
import json
import os
import resource
import statistics
import tempfile
from pathlib import Path

import aiohttp

from pipeline.fetch.answers import Download
from pipeline.fetch.client import open_client
from pipeline.fetch.exchange import tls_context
from pipeline.limits import Fetch, Network
from tests.bench.photos import Served, nginx_serving

NUM_DOWNLOADS, NUM_BYTES, NUM_ROUNDS = 2_000, 90_000, 5
LIMITS = Fetch(per_host_concurrency=64, per_host_interval_s=0.0, concurrency=64, max_concurrency=64)


def cpu_s() -> float:
    """Return the CPU seconds that this process has taken."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def ours(served: Served, scheme: str) -> float:
    """Return the CPU microseconds of a download through the client."""
    port = served.https if scheme == "https" else served.http
    names = ("localhost",) if scheme == "https" else tuple(f"{name}.photos.test" for name in "abcdefgh")
    network = Network(connect_to=tuple(f"{name}=127.0.0.1:{port}" for name in names), contact="a benchmark")
    urls = [f"{scheme}://{names[number % len(names)]}/x.jpg?{number}" for number in range(NUM_DOWNLOADS)]
    async with open_client(network, LIMITS) as client:
        started = cpu_s()
        answers = await asyncio.gather(*(client.download(url) for url in urls))
        spent_s = cpu_s() - started
    assert all(isinstance(answer, Download) and len(answer.body) == NUM_BYTES for answer in answers)
    return spent_s / NUM_DOWNLOADS * 1e6


async def aiohttp_alone(served: Served, scheme: str) -> float:
    """Return the CPU microseconds of a download by aiohttp with nothing around it."""
    place = f"localhost:{served.https}" if scheme == "https" else f"127.0.0.1:{served.http}"

    async def get(number: int) -> bytes:
        async with session.get(f"{scheme}://{place}/x.jpg?{number}") as response:
            return await response.read()

    connector = aiohttp.TCPConnector(limit=64, ssl=tls_context())
    async with aiohttp.ClientSession(connector=connector) as session:
        started = cpu_s()
        bodies = await asyncio.gather(*(get(number) for number in range(NUM_DOWNLOADS)))
        spent_s = cpu_s() - started
    assert all(len(body) == NUM_BYTES for body in bodies)
    return spent_s / NUM_DOWNLOADS * 1e6


def main() -> None:
    """Measure both in turns; print a line per setting and one of JSON."""
    found: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "www"
        root.mkdir()
        (root / "x.jpg").write_bytes(os.urandom(NUM_BYTES))
        for name, scheme, keepalive_s in (("new", "http", 0), ("kept", "http", 60), ("https", "https", 0)):
            with nginx_serving(root, Path(folder) / name, keepalive_s) as served:
                os.environ["SSL_CERT_FILE"] = str(served.certificates)
                tls_context.cache_clear()
                both = [
                    (asyncio.run(ours(served, scheme)), asyncio.run(aiohttp_alone(served, scheme)))
                    for _ in range(NUM_ROUNDS)
                ]
            found |= {
                f"us_{name}": round(statistics.median(us for us, _ in both), 1),
                f"us_{name}_aiohttp": round(statistics.median(theirs for _, theirs in both), 1),
                f"ratio_{name}": round(statistics.median(us / theirs for us, theirs in both), 2),
            }
            print(f"{name:6} {found[f'us_{name}']:7} us, aiohttp alone {found[f'us_{name}_aiohttp']:7} us")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
