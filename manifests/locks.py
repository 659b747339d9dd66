"""One process at a time in a dataset: by a lock of the kernel here, by an object of a store elsewhere.

The kernel frees a lock with the process that held it. An object stays: it says whose it is, by a number that
the owner keeps in its work folder too, so that who goes on there after a kill finds the dataset his own.
"""

import datetime
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from upath import UPath

from manifests.protocols import first_line, patiently, store_errors
from manifests.storage import check_writable, is_local, read_bytes

LOCK = "lock"
OWNER = "owner"


@contextmanager
def held(dataset: Path, work: Path | None = None) -> Iterator[None]:
    """Hold a dataset for this process alone; `work` is a folder of this machine that the next run will have,
    too. Raises ValueError where another process has it."""
    with ExitStack() as stack:
        own = dataset / "work" if is_local(dataset) else work
        for folder in {folder for folder in (own, work) if folder}:
            stack.enter_context(_held_here(folder, dataset))
        if not is_local(dataset):
            stack.enter_context(_held_in_store(dataset, work))
        yield


@contextmanager
def _held_here(folder: Path, dataset: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another build is at work in {dataset} ({folder / LOCK})") from error
        yield


@contextmanager
def _held_in_store(dataset: Path, work: Path | None) -> Iterator[None]:
    check_writable(dataset, "dataset")
    owner, lock = _owner(work), dataset / "work" / LOCK
    note = owner | {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "work": str(work.resolve()) if work else None,
    }
    if not _created(lock, json.dumps(note).encode()):
        there = json.loads(read_bytes(lock))
        # Ours: of an earlier run in this work folder, or of this one, whose answer was lost.
        if there["owner"] != owner["owner"]:
            place = f" with --work {there['work']}" if there["work"] else ""
            raise ValueError(
                f"another build is at work in {dataset}: process {there['process']} of {there['host']} since "
                f"{there['since']}. Next: wait, or go on there{place}; where that is gone, remove {lock}"
            )
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            patiently(lambda: cast(UPath, lock).fs.rm_file(cast(UPath, lock).path))


def _owner(work: Path | None) -> dict[str, Any]:
    """Return the number by which the owner of a work folder is known."""
    fresh = {"owner": uuid.uuid4().hex}
    if work is None:
        return fresh
    note = work / OWNER
    if not note.exists():
        note.write_text(json.dumps(fresh))
    known: dict[str, Any] = json.loads(note.read_text())
    return known


def _created(lock: Path, data: bytes) -> bool:
    """Write a lock where there is none, as one step of the store; return whether it was written."""
    fs, place = cast(UPath, lock).fs, cast(UPath, lock).path
    try:
        patiently(lambda: fs.pipe_file(place, data, mode="create"))
    except FileExistsError:
        return False
    except store_errors() as error:
        raise ValueError(
            f"dataset: nothing can be written to {lock.parent.parent}: {first_line(error)}. "
            "Next: check its name, the credentials and what they allow"
        ) from error
    return True
