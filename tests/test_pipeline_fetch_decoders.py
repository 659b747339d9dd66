"""Decoding in other processes: real kills, bombs and deadlines, each of which costs one picture."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest
from PIL import Image

from filters.checks import ImageChecks
from filters.reasons import Drop, Reason
from pipeline.fetch import decoders as module
from pipeline.fetch.buffer import Buffer, Hold
from pipeline.fetch.decoder import Task
from pipeline.fetch.decoders import Decoders
from pipeline.fetch.pixels import EncodedPicture, encode_picture, thumbnail
from pipeline.limits import Decode, Encode
from tests.test_pipeline_fetch_pixels import quarters, saved, textured

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

TASK = Task(ImageChecks(), Encode(), Decode())
SOUND = saved(textured(300, 280), "JPEG")


@cache
def large() -> bytes:
    """Return a picture of half a second of work and 75 MB of pixels."""
    return saved(textured(500, 500).resize((5000, 5000), Image.Resampling.NEAREST), "PNG", compress_level=1)


def children_of(pid: int) -> list[int]:
    """Return the decoding processes that a process has started: tests before may have left others."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"pipeline.fetch.decoder" in command_of(child)]
    except FileNotFoundError:
        return []


def command_of(pid: str) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def workers_of(pid: int) -> list[int]:
    """Return the workers of the decoding process that `pid` has started."""
    return [worker for child in children_of(pid) for worker in children_of(child)]


async def busy(decoders: Decoders, data: bytes) -> "asyncio.Task[EncodedPicture | Drop]":
    """Return a picture in work: its only worker has it and is decoding."""
    await decoders.encode(SOUND)  # by now the worker is there
    task = asyncio.create_task(decoders.encode(data))
    await asyncio.sleep(0.05)
    return task


async def test_answers_are_those_of_the_functions_in_this_process() -> None:
    exif = saved(quarters(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0")
    files = [SOUND, exif, saved(textured(700, 600), "PNG"), b"", b"<html>", SOUND[:500], saved(quarters(20))]
    async with Decoders(TASK, 2) as decoders:
        pictures = await asyncio.gather(*map(decoders.encode, files * 5))
        small = await asyncio.gather(*map(decoders.thumbnail, files))
    assert pictures == [encode_picture(data, TASK.checks, TASK.encode) for data in files] * 5
    assert small == [thumbnail(data) for data in files]


async def test_a_decoder_that_crashes_costs_its_picture_only() -> None:
    async with Decoders(TASK, 1) as decoders:
        for number in (signal.SIGSEGV, signal.SIGKILL):
            task = await busy(decoders, large())
            waiting = asyncio.create_task(decoders.encode(SOUND))
            [worker] = workers_of(os.getpid())
            os.kill(worker, number)
            assert await task == Drop(Reason.DECODER_CRASHED, f"its decoder ended by {number.name}")
            assert isinstance(await waiting, EncodedPicture)


async def test_a_picture_that_takes_too_long_is_dropped_in_time() -> None:
    async with Decoders(TASK._replace(limits=Decode(max_cpu_s=0.1)), 1) as decoders:
        await decoders.encode(SOUND)
        started = time.monotonic()
        drop = await decoders.encode(large())
        assert drop == Drop(Reason.IMAGE_TOO_SLOW, "not decoded within 0.1 s")
        assert time.monotonic() - started < 2
        assert isinstance(await decoders.encode(SOUND), EncodedPicture)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
async def test_a_picture_that_needs_too_much_memory_is_dropped(name: str) -> None:
    options = {"compression": "tiff_deflate"} if name == "TIFF" else {}
    bomb = saved(quarters(5000).convert("P") if name == "GIF" else quarters(5000), name, **options)
    task = TASK._replace(encode=Encode(resize="no"), limits=Decode(max_memory_mb=40))
    async with Decoders(task, 1) as decoders:
        detail = f"5000 x 5000 {name.lower()} does not fit into memory"
        assert await decoders.encode(bomb) == Drop(Reason.IMAGE_TOO_MUCH_MEMORY, detail)
        assert isinstance(await decoders.encode(SOUND), EncodedPicture)


async def test_a_decoder_that_is_killed_while_idle_costs_nothing() -> None:
    async with Decoders(TASK, 1) as decoders:
        for _ in range(3):
            assert isinstance(await decoders.encode(SOUND), EncodedPicture)
            [worker] = workers_of(os.getpid())
            os.kill(worker, signal.SIGKILL)
            while workers_of(os.getpid()) in ([worker], []):
                await asyncio.sleep(0.01)


async def test_when_all_decoders_are_ended_the_fetch_is_told() -> None:
    async with Decoders(TASK, 1) as decoders:
        task = await busy(decoders, large())
        [forker] = children_of(os.getpid())
        for pid in (forker, *children_of(forker)):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="run the same command again"):
            await task


@pytest.mark.parametrize("is_asked_before", [True, False])
async def test_decoders_that_end_with_a_picture_unread_tell_the_fetch(is_asked_before: bool) -> None:
    async with Decoders(TASK, 1) as decoders:
        await decoders.encode(SOUND)
        [forker] = children_of(os.getpid())
        pids = (forker, *children_of(forker))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        task = asyncio.create_task(decoders.encode(SOUND)) if is_asked_before else None
        await asyncio.sleep(0.05)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="run the same command again"):
            await asyncio.wait_for(task or decoders.encode(SOUND), 5)


async def test_there_is_no_room_while_pictures_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", 2 * len(SOUND))
    async with Decoders(TASK, 1) as decoders:
        pictures = [asyncio.create_task(decoders.encode(SOUND)) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(decoders.room(), 0.01)
        assert decoders.waiting_bytes == 4 * len(SOUND)
        await asyncio.gather(*pictures)
        await asyncio.wait_for(decoders.room(), 0.01)
        assert decoders.waiting_bytes == 0


async def test_no_more_of_a_body_is_read_while_pictures_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_BYTES", len(SOUND))
    async with Decoders(TASK, 1) as decoders:
        with Hold(Buffer(1_000_000, ahead=decoders.room)) as hold:
            picture = asyncio.create_task(decoders.encode(SOUND))
            await asyncio.sleep(0)
            read = asyncio.create_task(hold.grow(1))
            await asyncio.wait({picture, read}, return_when=asyncio.FIRST_COMPLETED)
            assert picture.done()
            await read


STARTER = """
import asyncio, sys
from tests.test_pipeline_fetch_decoders import TASK, Decoders, busy, large
async def main():
    async with Decoders(TASK, 1) as decoders:
        task = await busy(decoders, large())
        print("busy", flush=True)
        await task
asyncio.run(main())
"""


def test_decoders_end_with_the_process_that_asks_them() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"busy\n"
        pids = [*children_of(process.pid), *workers_of(process.pid)]
        assert len(pids) == 2
        process.kill()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, "still there"
        time.sleep(0.05)


def test_a_decoder_loads_none_of_the_heavy_packages() -> None:
    heavy = ["apache_beam", "pyarrow", "torch", "aiohttp", "imagehash"]
    script = f"import pipeline.fetch.decoder, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "[]\n"
