"""Decoding in other processes: what a picture does to its decoder costs that picture only.

The other side, and how the two talk, is in `decoder`.
"""

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

import pipeline
from filters.reasons import Drop, Reason
from pipeline.fetch.blur import Boxes
from pipeline.fetch.decoder import ENCODE, MAX_MESSAGE, REQUEST, THUMBNAIL, Task, write_all
from pipeline.fetch.pixels import EncodedPicture

MAX_WAITING_BYTES = 64_000_000
KEPT_STORE_BYTES = 4_000_000  # a store that a large picture has made larger is emptied
ENDED = "the decoding processes have been ended. What is fetched is kept: run the same command again"
ENVIRONMENT = {
    # One thread each: the workers are as many as there are processors.
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    # Memory of one picture is kept for the next: to give it back and fault it in anew takes a sixth longer.
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
    "MALLOC_MMAP_THRESHOLD_": str(16 << 20),
}
_TOO_SLOW = (-signal.SIGPROF, -signal.SIGALRM)


class Decoders:
    """Some processes that decode, as an asynchronous context: they live as long as it is entered.

    Raises RuntimeError where the processes have been ended from outside.
    """

    def __init__(self, task: Task, num_workers: int) -> None:
        self.task, self.num_workers = task, num_workers
        self.waiting_bytes = 0
        self._has_room = asyncio.Event()
        self._has_room.set()
        # Last in, first out: while one worker is enough, the memory of the others stays untouched.
        self._idle: asyncio.LifoQueue[_Lane] = asyncio.LifoQueue()
        self._lanes: list[_Lane] = []

    async def __aenter__(self) -> Self:
        ends = []
        for _ in range(self.num_workers):
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            lane = _Lane(near)
            self._lanes.append(lane)
            self._idle.put_nowait(lane)
            ends.append((far, lane.store))
        self._process = _start(ends, self.task)
        for far, _ in ends:
            far.close()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self._lanes:
            lane.close()
        await asyncio.to_thread(self._process.wait)

    async def encode(self, data: bytes, boxes: Boxes = ()) -> EncodedPicture | Drop:
        """Return the picture of a file as it is to be stored, `boxes` blurred, or why it is not kept."""
        answer, stored = await self._ask(ENCODE, data, boxes)
        if "died" in answer:
            return _drop_of(answer["died"], self.task)
        if "drop" in answer:
            reason, detail = answer["drop"]
            return Drop(Reason(reason), detail)
        return EncodedPicture(data=stored, **answer["picture"])

    async def thumbnail(self, data: bytes) -> bytes | None:
        """Return a small JPEG of a picture for the report, None where it cannot be decoded."""
        _, small = await self._ask(THUMBNAIL, data)
        return small or None

    async def room(self) -> None:
        """Wait while MAX_WAITING_BYTES of pictures wait for a decoder: it is no time to download more."""
        await self._has_room.wait()

    async def _ask(self, kind: bytes, data: bytes, boxes: Boxes = ()) -> tuple[dict[str, Any], bytes]:
        self._count(len(data))
        try:
            lane = await self._idle.get()
            answer = await lane.ask(kind, data, boxes)
            # Not if that is cancelled: the worker may still write into the store. Then all end, anyhow.
            self._idle.put_nowait(lane)
            return answer
        finally:
            self._count(-len(data))

    def _count(self, num_bytes: int) -> None:
        self.waiting_bytes += num_bytes
        if self.waiting_bytes < MAX_WAITING_BYTES:
            self._has_room.set()
        else:
            self._has_room.clear()


class _Lane:
    """This side of a lane. Its socket is watched all the time, which costs less than to begin and end it."""

    def __init__(self, near: socket.socket) -> None:
        self.socket, self.store = near, os.memfd_create("pictures")
        self._answer: asyncio.Future[bytes] | None = None
        near.setblocking(False)
        asyncio.get_running_loop().add_reader(near, self._read)

    async def ask(self, kind: bytes, data: bytes, boxes: Boxes) -> tuple[dict[str, Any], bytes]:
        """Return the answer of the lane's worker, and the bytes that come with it."""
        write_all(self.store, data)
        self._answer = asyncio.get_running_loop().create_future()
        try:
            # The worker is idle: there is room for a short message.
            self.socket.send(REQUEST.pack(kind, len(data)) + (orjson.dumps(boxes) if boxes else b""))
        except ConnectionError as error:
            raise RuntimeError(ENDED) from error
        answer = orjson.loads(await self._answer)
        size = answer.get("size", 0)
        stored = os.pread(self.store, size, 0)
        if max(size, len(data)) > KEPT_STORE_BYTES:
            os.ftruncate(self.store, 0)
        return answer, stored

    def _read(self) -> None:
        try:
            message = self.socket.recv(MAX_MESSAGE)
        except ConnectionError:  # it ended with a message unread
            message = b""
        # Nobody waits where a worker was killed while it was idle, and where the fetch has been given up.
        waited_for, self._answer = self._answer, None
        if not message:
            asyncio.get_running_loop().remove_reader(self.socket)
        if waited_for is not None and not waited_for.done():
            if message:
                waited_for.set_result(message)
            else:
                waited_for.set_exception(RuntimeError(ENDED))

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()
        os.close(self.store)


def _drop_of(status: int, task: Task) -> Drop:
    """Return why a picture is dropped that ended its decoder with this exit status."""
    if status in _TOO_SLOW:
        return Drop(Reason.IMAGE_TOO_SLOW, f"not decoded within {task.limits.max_cpu_s:g} s")
    ending = signal.Signals(-status).name if status < 0 else f"status {status}"
    return Drop(Reason.DECODER_CRASHED, f"its decoder ended by {ending}")


def _start(ends: list[tuple[socket.socket, int]], task: Task) -> subprocess.Popen[bytes]:
    numbers = [(end.fileno(), store) for end, store in ends]
    root = str(Path(pipeline.__file__).parent.parent)
    paths = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.fetch.decoder", *(f"{end}:{store}" for end, store in numbers)],
        stdin=subprocess.PIPE,
        pass_fds=[number for pair in numbers for number in pair],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": paths},
    )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(pickle.dumps(task))
    return process
