"""A finished dataset to another place: every file whole, the manifest last, so that it is there or is not."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from manifests.schema import FileRecord, Manifest
from manifests.storage import link_or_copy, move, read_bytes
from manifests.store import MANIFEST_NAME, manifest_from_bytes

# Each holds up to four parts of 16 MiB of its file.
NUM_THREADS = 4
REPORT_NAME = "report.html"


def files_of(manifest: Manifest) -> Iterator[FileRecord]:
    """Yield the records of all files of a dataset but the manifest itself."""
    for shard in manifest.shards:
        yield shard.tar
        yield shard.index
    yield from manifest.files


def move_all(names: Sequence[str], source: Path, to: Path) -> None:
    """Move files of a folder of this machine to another place, in any order."""
    with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="move") as threads:
        for _ in threads.map(lambda name: move(source / name, to / name), names):
            pass


def transfer(source: Path, to: Path, journal: Path) -> None:
    """Copy a finished dataset to a place that holds none. `journal` is a file of this machine that lists what
    is there already; a copy that was cut short goes on with the same one."""
    data = read_bytes(source / MANIFEST_NAME)
    known = set(journal.read_text().splitlines()) if journal.exists() else set()
    missing = [file for file in files_of(manifest_from_bytes(data)) if _line(file) not in known]
    with journal.open("a") as done, ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="copy") as threads:
        for file in threads.map(lambda file: _copied(file, source, to), missing):
            done.write(f"{_line(file)}\n")
            done.flush()
            os.fsync(done.fileno())
    if (source / REPORT_NAME).exists():
        link_or_copy(source / REPORT_NAME, to / REPORT_NAME)
    link_or_copy(source / MANIFEST_NAME, to / MANIFEST_NAME)


def _copied(file: FileRecord, source: Path, to: Path) -> FileRecord:
    link_or_copy(source / file.path, to / file.path)
    return file


def _line(file: FileRecord) -> str:
    return f"{file.sha256} {file.path}"
