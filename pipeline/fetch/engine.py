"""Work units: the pairs of one unit to a tar of staged pictures and two tables, whole or not at all.

Many units are open at once in one event loop, so that a host which asks for patience holds up its own
pairs only. Pictures are decoded in other processes.
"""

import asyncio
import gc
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import uvloop

from filters.do_not_fetch import read_do_not_fetch
from filters.hashes import check_hash
from filters.reasons import Drop, Reason
from manifests.storage import read_table, written_whole
from pipeline.attempts import new_attempt, write_once
from pipeline.config import BuildConfig
from pipeline.fetch.answers import Download
from pipeline.fetch.client import Client, open_client
from pipeline.fetch.decoder import Task
from pipeline.fetch.decoders import Decoders
from pipeline.fetch.pixels import EncodedPicture
from pipeline.fetch.staging import stage_picture
from pipeline.limits import Network
from pipeline.parts import parts_in
from pipeline.progress import INTERVAL_S, Tally
from pipeline.records import IMAGE_SCHEMA, Rejection, reject, to_table
from pipeline.tar import end_tar

MAX_OPEN_UNITS, MAX_OPEN_PAIRS = 16, 8_000  # a pair that waits for its turn takes some 7 KB
PAIRS_WITH_THUMBNAILS = 100  # of a unit, the first: enough for the report, and the same in every run
DISK_THREADS = 2
FETCH, IMAGE = "fetch", "image"

Row = dict[str, Any]


def fetch_units(
    units: Sequence[str],
    selected: Path,
    fetched: Path,
    config: BuildConfig,
    network: Network,
    tally: Tally,
    workers: int = 1,
) -> None:
    """Fetch the units that are not there yet.

    `selected` holds <unit>.parquet of pairs; `fetched` receives <unit>.tar, <unit>.parquet and
    <unit>.rejections.parquet. `tally` counts what becomes of the pairs. `workers`: processes that fetch on
    this machine, between which the processors for decoding are shared.
    """
    there = {part.name for part in parts_in(fetched)}
    missing = [unit for unit in units if unit not in there]
    if missing:
        # One more than there are processors for: it works while another's answer waits for the loop.
        num_decoders = max(1, (os.cpu_count() or 1) // workers) + 1
        with all_there_is_kept():
            uvloop.run(_fetch_all(missing, selected, fetched, config, network, tally, num_decoders))


@contextmanager
def all_there_is_kept() -> Iterator[None]:
    """Leave the objects that there are now out of the garbage collector's rounds: a build's modules alone are
    170,000, and to look through them again and again takes a fifth of this process's time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def _fetch_all(
    units: Sequence[str],
    selected: Path,
    fetched: Path,
    config: BuildConfig,
    network: Network,
    tally: Tally,
    num_decoders: int,
) -> None:
    # Few threads: what each has once used of memory stays its own.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(DISK_THREADS))
    open_units = asyncio.Semaphore(num_open_units(config.fetch.pairs_per_unit))
    listed = read_do_not_fetch(config.fetch.do_not_fetch)
    task = Task(config.image, config.encode, config.decode, with_pdq=bool(listed.pdqs))
    async with (
        Decoders(task, num_decoders) as decoders,
        open_client(network, config.fetch, room=decoders.room) as client,
    ):

        async def fetch_one(unit: str) -> None:
            async with open_units:
                table = await asyncio.to_thread(read_table, selected / f"{unit}.parquet")
                await _Unit(unit, table.to_pylist(), fetched, config, client, decoders, tally).fetch()

        reporter = asyncio.create_task(_report(client, tally))
        async with asyncio.TaskGroup() as tasks:
            for unit in units:
                tasks.create_task(fetch_one(unit))
        reporter.cancel()
        _count_names(client, tally)


def num_open_units(pairs_per_unit: int) -> int:
    """Return how many units are worked on at once: two at least, so that a slow host does not stop all.

    >>> num_open_units(200), num_open_units(1_000), num_open_units(5_000)
    (16, 8, 2)
    """
    return min(MAX_OPEN_UNITS, max(2, MAX_OPEN_PAIRS // pairs_per_unit))


async def _report(client: Client, tally: Tally) -> None:
    """Keep the counters that are not about single pairs up to date."""
    while True:
        _count_names(client, tally)
        tally.set("hosts/waiting", client.num_hosts_waiting())
        await asyncio.sleep(INTERVAL_S)


def _count_names(client: Client, tally: Tally) -> None:
    # The names are those of the process, which may have fetched before.
    for name, number in client.names_since_opened().items():
        tally.add(name, number - tally.counts[name])


class _Unit:
    """One unit while it is open: its staging tar and the rows so far."""

    def __init__(
        self,
        name: str,
        pairs: list[Row],
        fetched: Path,
        config: BuildConfig,
        client: Client,
        decoders: Decoders,
        tally: Tally,
    ) -> None:
        self.name, self.pairs, self.fetched, self.config = name, pairs, fetched, config
        self.client, self.decoders, self.tally = client, decoders, tally
        self.attempt = new_attempt(fetched, name)
        self.rows: list[Row] = []
        self.rejections: list[Rejection] = []

    async def fetch(self) -> None:
        with ExitStack() as stack:
            path = stack.enter_context(written_whole(self.fetched / f"{self.attempt}.tar"))
            tar = stack.enter_context(path.open("wb"))
            async with asyncio.TaskGroup() as tasks:
                for number, pair in enumerate(self.pairs):
                    tasks.create_task(self.fetch_pair(number, pair, tar))
            end_tar(tar)
            files = stack.pop_all()
            # To wait for the disk, or for a store, would keep all other units waiting.
            await asyncio.to_thread(self.finish, files)

    def finish(self, files: ExitStack) -> None:
        """Close the tar, which is whole; then write the tables, that of the rows last."""
        files.close()
        self.rows.sort(key=lambda row: row["pair_id"])
        rows = to_table(self.rows, IMAGE_SCHEMA)
        write_once(self.fetched, self.name, self.attempt, rows, self.rejections)

    async def fetch_pair(self, number: int, pair: Row, tar: IO[bytes]) -> None:
        await self.decoders.room()
        self.tally.add("fetch/in")
        download = await self.read(pair["url"])
        if isinstance(download, Download) and (expected := pair.get("expected_hash")):
            download = check_hash(download.body, expected) or download
        if isinstance(download, Drop):
            self.tally.add(f"fetch/dropped/{download.reason}")
            self.rejections.append(reject(FETCH, download, pair))
        else:
            data = download.body
            self.tally.add("fetch/out")
            self.tally.add("fetch/bytes", len(data))
            picture = await self.decoders.encode(data, pair.get("blur_boxes") or ())
            if isinstance(picture, Drop):
                self.tally.add(f"image/dropped/{picture.reason}")
                # A picture without a hash cannot be told from a listed one: then none is shown.
                shown = number < PAIRS_WITH_THUMBNAILS and not self.client.do_not_fetch.lists_looks
                small = await self.decoders.thumbnail(data) if shown else None
                self.rejections.append(reject(IMAGE, picture, pair, thumbnail=small))
            else:
                listed = self.client.do_not_fetch
                if drop := listed.check_phash(picture.phash) or listed.check_pdq(picture.pdq):
                    self.tally.add(f"image/dropped/{drop.reason}")
                    self.rejections.append(reject(IMAGE, drop, pair))
                else:
                    self.tally.add("image/out")
                    self.stage(pair, download, picture, tar)

    async def read(self, url: str) -> Download | Drop:
        """Return the bytes at a URL: over HTTP, or from the source that has it on this machine."""
        local = self.config.sources.owner_of(url)
        if local is None:
            found: Download | Drop = await self.client.download(url)
        elif data := local.read_bytes(url):
            found = Download(body=data)
        else:
            found = Drop(Reason.SOURCE_ERROR, "the file is gone or empty")
        return found if isinstance(found, Drop) else self.client.do_not_fetch.check_bytes(found.body) or found

    def stage(self, pair: Row, download: Download, picture: EncodedPicture, tar: IO[bytes]) -> None:
        row = stage_picture(tar, self.attempt, pair, picture, self.config.encode.format)
        self.rows.append(row | download.facts())
