"""One process at a time in a dataset: by a lock of the kernel here, by an object of a store elsewhere.

The kernel frees a lock with the process that held it. An object stays: it says whose it is, by a number that
the owner keeps in its work folder too, so that who goes on there after a kill finds the dataset his own. Of a
work folder elsewhere, which anyone may read, the number lies in the user's cache folder on this machine.
"""

import datetime
import fcntl
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from manifests.protocols import first_line, store_errors
from manifests.storage import check_writable, created, is_local, read_bytes, remove_file

LOCK = "lock"
OWNER = "owner"


@contextmanager
def held(dataset: Path, work: Path | None = None) -> Iterator[None]:
    """Hold a dataset, and its work folder, for this process alone; `work` is a folder that the next run will
    have, too. Raises ValueError where another process has them."""
    mine = work if work is None or is_local(work) else notes_on(work)
    own = dataset / "work" if is_local(dataset) else mine
    there = [place for place in (dataset / "work", work) if place and not is_local(place)]
    with ExitStack() as stack:
        for folder in {folder for folder in (own, mine) if folder}:
            stack.enter_context(_held_here(folder, dataset))
        for place in dict.fromkeys(there):
            stack.enter_context(_held_in_store(place, dataset, work, mine))
        yield


def notes_on(work: Path) -> Path:
    """Return the folder of this machine that says which work folders elsewhere are this user's."""
    cache = os.environ.get("XDG_CACHE_HOME")
    name = hashlib.sha256(str(work).encode()).hexdigest()[:16]
    return (Path(cache) if cache else Path.home() / ".cache") / "openwit" / "work" / name


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
def _held_in_store(place: Path, dataset: Path, work: Path | None, mine: Path | None) -> Iterator[None]:
    check_writable(place, "dataset")
    owner, lock = _owner(mine), place / LOCK
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
            found = f" with --work {there['work']}" if there["work"] else ""
            raise ValueError(
                f"another build is at work in {dataset}: process {there['process']} of {there['host']} since "
                f"{there['since']}. Next: wait, or go on there{found}; where that is gone, remove {lock}"
            )
    try:
        yield
    finally:
        remove_file(lock)


def _owner(work: Path | None) -> dict[str, Any]:
    """Return the number by which the owner of a work folder is known, by its folder of this machine."""
    fresh = {"owner": uuid.uuid4().hex}
    if work is None:
        return fresh
    note = work / OWNER
    if not note.exists():
        note.write_text(json.dumps(fresh))
    known: dict[str, Any] = json.loads(note.read_text())
    return known


def _created(lock: Path, data: bytes) -> bool:
    """Write a lock where there is none; return whether it was written."""
    try:
        return created(lock, data)
    except store_errors() as error:
        raise ValueError(
            f"dataset: nothing can be written to {lock.parent.parent}: {first_line(error)}. "
            "Next: check its name, the credentials and what they allow"
        ) from error
