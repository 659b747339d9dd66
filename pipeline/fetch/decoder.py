"""A process that decodes pictures for another: it may crash, hang or run out of memory, and nobody else does.

Run as `python -m pipeline.fetch.decoder LANE:STORE ...` by `decoders`, which is the other side. It loads the
libraries once and forks a worker for each lane. Over the lane, a socket that keeps messages apart, go short
messages; the bytes of pictures lie in the lane's store, a file in memory. When a worker dies, the forker says
so on its lane, in place of the answer, and forks another, which takes some milliseconds.
"""

import gc
import logging
import os
import pickle
import resource
import signal
import socket
import struct
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from filters.checks import ImageChecks
from filters.reasons import Drop, Reason
from pipeline.fetch.blur import Boxes
from pipeline.fetch.pixels import encode_picture, thumbnail
from pipeline.limits import Decode, Encode

REQUEST = struct.Struct("<cQ")  # what to do, how many bytes lie in the store; then what to blur
ENCODE, THUMBNAIL = b"e", b"t"
MAX_MESSAGE = 65_536
IDLE_PER_CPU = 6  # a decoder that waits for something that never comes is ended, too, if later


class Task(NamedTuple):
    """What to do with every picture."""

    checks: ImageChecks
    encode: Encode
    limits: Decode
    with_pdq: bool = False


class Lane(NamedTuple):
    """One worker's connection to who asks it."""

    socket: socket.socket
    store: int


def main() -> None:
    """Fork workers until whoever asks has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the build; its end is ours
    warnings.simplefilter("ignore")  # Pillow's, of odd metadata: the pixels are what counts
    keep_libraries_quiet()
    task: Task = pickle.load(sys.stdin.buffer)
    gc.freeze()  # no worker looks through the libraries' objects, or copies their pages to do so
    pairs = (map(int, argument.split(":")) for argument in sys.argv[1:])
    lane_of = {fork_worker(lane, task): lane for lane in [Lane(socket.socket(fileno=n), s) for n, s in pairs]}
    while lane_of:
        pid, status = os.wait()
        lane = lane_of.pop(pid)
        if status == 0:  # nobody asks any more
            continue
        try:
            lane.socket.send(orjson.dumps({"died": os.waitstatus_to_exitcode(status)}))
        except ConnectionError:
            continue
        lane_of[fork_worker(lane, task)] = lane


def keep_libraries_quiet() -> None:
    """Let only tracebacks go to stderr: libtiff and Pillow have something to say of every damaged file."""
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def fork_worker(lane: Lane, task: Task) -> int:
    """Return the process id of a new worker on the lane."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        serve(lane, task)
        status = 0
    except ConnectionError:
        status = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise
    finally:
        os._exit(status)  # what the forker has open is not this process's to close


def serve(lane: Lane, task: Task) -> None:
    """Answer until nobody asks any more."""
    limit_memory(task.limits.max_memory_mb)
    while message := lane.socket.recv(MAX_MESSAGE):
        kind, size = REQUEST.unpack_from(message)
        boxes = orjson.loads(message[REQUEST.size :] or b"[]")
        limit_time(task.limits.max_cpu_s)
        try:
            answer, picture = answer_of(kind, os.pread(lane.store, size, 0), task, boxes)
        except MemoryError:
            answer = {"drop": (Reason.IMAGE_TOO_MUCH_MEMORY, f"{size} bytes do not fit into memory")}
            picture = b""
        limit_time(0)
        write_all(lane.store, picture)
        lane.socket.send(orjson.dumps(answer))


def answer_of(kind: bytes, data: bytes, task: Task, boxes: Boxes) -> tuple[dict[str, Any], bytes]:
    """Return the answer and the bytes that go with it, of which it says the number."""
    if kind == THUMBNAIL:
        small = thumbnail(data) or b""
        return {"size": len(small)}, small
    picture = encode_picture(data, task.checks, task.encode, boxes, with_pdq=task.with_pdq)
    if isinstance(picture, Drop):
        return {"drop": (picture.reason, picture.detail)}, b""
    measured = {name: getattr(picture, name) for name in picture.__slots__ if name != "data"}
    return {"picture": measured, "size": len(picture.data)}, picture.data


def write_all(store: int, data: bytes) -> None:
    """Write to the beginning of a store."""
    place = 0
    while place < len(data):
        place += os.pwrite(store, memoryview(data)[place:], place)


def limit_memory(max_mb: int) -> None:
    """Let this process take so much more address space than it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + max_mb * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def limit_time(cpu_s: float) -> None:
    """Have the kernel end this process after so much processor time from now; 0 lifts the limit.

    It does so by SIGPROF, or by SIGALRM when the time has passed otherwise; no Python need run for it.
    """
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    signal.setitimer(signal.ITIMER_REAL, cpu_s * IDLE_PER_CPU)


if __name__ == "__main__":
    main()
