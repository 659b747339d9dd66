"""Is this machine fit for a build? One finding for each thing that has made other people's fetches fail."""

import asyncio
import os
import resource
import shutil
import statistics
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

from filters import looks
from filters.reasons import Drop
from filters.urls import host_of
from manifests.places import Place
from manifests.protocols import first_line, store_errors
from manifests.storage import is_local, read_bytes
from manifests.store import write_bytes
from pipeline.fetch.answers import Answer
from pipeline.fetch.client import open_client
from pipeline.fetch.names import system_lookup
from pipeline.limits import Fetch, Network

Level = Literal["ok", "warn", "fail"]

# Names of many owners, as a fetch would meet them.
NAMES = (
    *("commons.wikimedia.org", "upload.wikimedia.org", "live.staticflickr.com", "i.imgur.com", "github.com"),
    *("cdn.shopify.com", "images.unsplash.com", "www.bbc.co.uk", "www.lemonde.fr", "data.commoncrawl.org"),
)
PROBE_BYTES = 64 * 1024 * 1024
STORE_PROBE_BYTES = 8 * 1024 * 1024
THROUGHPUT_S = 3.0
# Beside the downloads: staging tars of open units, shards, pipes, the Beam worker's own.
OTHER_FILES = 256
GB = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, the figure, and what to do about it."""

    name: str
    level: Level
    figure: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.level:<5} {self.name:<11} {self.figure}" + (f". Next: {self.fix}" if self.fix else "")


@dataclass(frozen=True, kw_only=True)
class DoctorRequest:
    """What is looked at."""

    host: str = ""
    """A host (or a whole URL) to measure: the clock against its own, and how fast it gives."""
    dataset: Place = Path("runs")
    """Where datasets are to be written: a folder, or s3://bucket/name."""
    work: Place | None = None
    """Where a build's own files are to lie, as for build."""
    names: tuple[str, ...] = NAMES
    """Names to look up."""
    fetch: Fetch = field(default_factory=Fetch)
    """The limits that a build is to have."""
    workers: int = 1
    connect_to: tuple[str, ...] = ()
    """HOST=ADDRESS:PORT, as for build."""
    json: bool = False
    """Print JSON instead of lines."""


def examine(request: DoctorRequest) -> Iterator[Finding]:
    """Yield the findings, as they are made."""
    yield check_names(request.names)
    yield check_files(request.fetch.max_concurrency)
    yield check_proxy(urllib.request.getproxies())
    if is_local(request.dataset):
        yield from check_disk(request.dataset)
    else:
        yield from check_store(request.dataset)
    if request.work and not is_local(request.work):
        yield from check_store(request.work)
        yield from check_disk(Path(tempfile.gettempdir()))  # where units and shards are made
    elif request.work or not is_local(request.dataset):
        yield from check_disk(request.work or Path())
    yield check_processors(request.workers)
    yield check_memory(request.workers)
    yield check_loops(looks.COMPILED is not None)
    if request.host:
        url = request.host if "://" in request.host else f"https://{request.host}/"
        yield from check_host(url, request.fetch, request.connect_to)


def check_names(names: tuple[str, ...]) -> Finding:
    """Look names up, all at once as a fetch does: how many have no address, and how long the others take."""
    with ThreadPoolExecutor(max(1, len(names))) as threads:
        found = list(threads.map(_time_of_lookup, names))
    times = [seconds for seconds in found if seconds is not None]
    num_failed = len(found) - len(times)
    median_ms = 1000 * statistics.median(times) if times else 0.0
    figure = (
        f"{num_failed} of {len(found)} names have no address; the others took {median_ms:.0f} ms (median)"
    )
    fix = "run a caching resolver on this machine (unbound, knot-resolver) and name it in /etc/resolv.conf"
    if num_failed > len(found) / 2:
        return Finding(
            name="names", level="fail", figure=figure, fix=f"see that the network is there; then {fix}"
        )
    slow = num_failed or median_ms > 200
    return Finding(name="names", level="warn" if slow else "ok", figure=figure, fix=fix if slow else "")


def _time_of_lookup(name: str) -> float | None:
    started = time.monotonic()
    try:
        system_lookup(name)
    except OSError:
        return None
    return time.monotonic() - started


def check_files(max_concurrency: int) -> Finding:
    """Compare the limit of open files with what so many downloads at once need."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = max_concurrency + OTHER_FILES
    figure = f"{limit:,} open files are allowed, {max_concurrency:,} downloads at once need {needed:,}"
    if limit >= needed:
        return Finding(name="open files", level="ok", figure=figure)
    level: Level = "fail" if limit < max_concurrency else "warn"
    lower = max(1, limit - OTHER_FILES)
    fix = f"ulimit -n {needed}, or --fetch.max-concurrency {lower}"
    return Finding(name="open files", level=level, figure=figure, fix=fix)


def check_proxy(proxies: dict[str, str]) -> Finding:
    """Tell of proxies in the environment, which a fetch does not use."""
    named = {scheme: place for scheme, place in proxies.items() if scheme in ("http", "https", "all")}
    if not named:
        return Finding(name="proxy", level="ok", figure="none is set")
    return Finding(
        name="proxy",
        level="warn",
        figure=f"set for {', '.join(sorted(named))}, but pictures are fetched directly",
        fix="run where hosts can be reached without a proxy, which could not see that addresses are public",
    )


def check_store(place: Path) -> Iterator[Finding]:
    """Write, read and remove a probe where a dataset is to lie: is it allowed, and how fast?"""
    probe, data = place / f"probe-{uuid.uuid4().hex}", os.urandom(STORE_PROBE_BYTES)
    started = time.monotonic()
    try:
        write_bytes(probe, data)
        written = time.monotonic()
        came_back = read_bytes(probe) == data
        finished = time.monotonic()
        probe.unlink()
    except store_errors(ValueError) as error:
        figure = f"{place} cannot be written to: {first_line(error)}"
        fix = "check the bucket's name, its region, the credentials and what they allow"
        yield Finding(name="store", level="fail", figure=figure, fix=fix)
        return
    speeds = [len(data) / 1e6 / seconds for seconds in (written - started, finished - written)]
    figure = f"{speeds[0]:,.1f} MB/s written to {place}, {speeds[1]:,.1f} MB/s read"
    fix = "" if came_back else "the store gives other bytes than it was given: use another"
    yield Finding(name="store", level="ok" if came_back else "fail", figure=figure, fix=fix)


def check_disk(folder: Path) -> Iterator[Finding]:
    """Measure the room, and the speed of writing, where `folder` is or would be."""
    there = next(path for path in (folder.resolve(), *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(there).free
    level: Level = "fail" if free < GB else "warn" if free < 20 * GB else "ok"
    fix = "" if level == "ok" else "a million pictures take some 35 GB, and as much while they are built"
    yield Finding(name="disk space", level=level, figure=f"{free / GB:.0f} GB free at {there}", fix=fix)
    try:
        speed = _write_speed(there)
    except OSError as error:
        figure = f"{there} cannot be written to ({error.strerror})"
        yield Finding(name="disk speed", level="fail", figure=figure, fix="give another --dataset")
        return
    slow = speed < 50e6
    yield Finding(
        name="disk speed",
        level="warn" if slow else "ok",
        figure=f"{speed / 1e6:,.0f} MB/s written and flushed",
        fix="give a --dataset on a local disk" if slow else "",
    )


def _write_speed(folder: Path) -> float:
    """Return bytes a second: a file of noise, flushed to the disk."""
    block = os.urandom(1024 * 1024)
    started = time.monotonic()
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(PROBE_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return PROBE_BYTES / (time.monotonic() - started)


def check_processors(workers: int) -> Finding:
    """Compare the processors that this process may use with the workers."""
    number = len(os.sched_getaffinity(0))
    figure = f"{number} for {workers} workers; one encodes some 100 pictures a second"
    if workers <= number:
        return Finding(name="processors", level="ok", figure=figure)
    return Finding(name="processors", level="warn", figure=figure, fix=f"--workers {number}")


def check_memory(workers: int) -> Finding:
    """Compare the free memory with what the workers take."""
    free, needed = free_memory(), workers * 0.6 * GB + 0.6 * GB
    figure = f"{free / GB:.1f} GB free, {workers} workers and their driver take up to {needed / GB:.1f} GB"
    if free >= needed:
        return Finding(name="memory", level="ok", figure=figure)
    level: Level = "fail" if free < 0.6 * GB else "warn"
    return Finding(
        name="memory", level=level, figure=figure, fix="fewer --workers, or a smaller --fetch.concurrency"
    )


def check_loops(compiled: bool) -> Finding:
    """Tell whether the loops over every pixel were compiled."""
    if compiled:
        return Finding(name="loops", level="ok", figure="those over every pixel are compiled")
    figure = "those over every pixel are Pillow's: a picture takes 1.6 times as long"
    fix = (
        "install a C compiler (apt-get install gcc libc6-dev), then pip install --force-reinstall --no-deps ."
    )
    return Finding(name="loops", level="warn", figure=figure, fix=fix)


def free_memory() -> int:
    """Return the bytes that can be had without swapping, a container's limit minded."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) * 1024
    limit, used = (Path(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        free = min(free, int(most) - int(used.read_text()))
    return free


def check_host(url: str, limits: Fetch, connect_to: tuple[str, ...]) -> Iterator[Finding]:
    """Ask a host for some seconds, as politely as a build: its clock, and the bytes that it gives."""
    name = host_of(url) or url
    answers, seconds = asyncio.run(
        _ask_for_a_while(url, limits, Network(connect_to=connect_to, contact=limits.contact))
    )
    good = [answer for answer in answers if isinstance(answer, Answer)]
    if not good:
        figure = f"no answer from {name}: {answers[0]}"
        yield Finding(
            name="throughput", level="fail", figure=figure, fix="try another --host: is it this one alone?"
        )
        return
    if date := good[0].headers.get("Date"):
        yield check_clock(date, time.time())
    speed = sum(len(answer.body) for answer in good) / seconds
    num_failed = len(answers) - len(good)
    yield Finding(
        name="throughput",
        level="warn" if num_failed else "ok",
        figure=f"{speed / 1e6:.2f} MB/s in {len(good)} answers of {name}, {num_failed} failed",
        fix="fewer at once: --fetch.per-host-concurrency 1" if num_failed else "",
    )


async def _ask_for_a_while(url: str, limits: Fetch, network: Network) -> tuple[list[Answer | Drop], float]:
    answers: list[Answer | Drop] = []
    started = time.monotonic()
    async with open_client(network, limits) as client:

        async def ask() -> None:
            while not answers or time.monotonic() - started < THROUGHPUT_S:
                answers.append(await client.ask(url))
                if isinstance(answers[-1], Drop):
                    return

        await asyncio.gather(*(ask() for _ in range(limits.per_host_concurrency)))
    return answers, time.monotonic() - started


def check_clock(date: str, now: float) -> Finding:
    """Compare this machine's clock (seconds since 1970) with a server's Date header."""
    away_s = now - parsedate_to_datetime(date).timestamp()
    figure = f"{away_s:+.0f} s from the server's"
    if abs(away_s) <= 5:
        return Finding(name="clock", level="ok", figure=figure)
    level: Level = "fail" if abs(away_s) > 300 else "warn"
    return Finding(
        name="clock", level=level, figure=figure, fix="timedatectl set-ntp true: certificates need it"
    )
