"""A tar, read once: its hash, and whether its members are those of its index.

The index says where each header must lie, so that headers are taken from the blocks as these go by to the
hash (`verify_headers`). A tar in which anything differs is read again by Python's tarfile, to say what.
"""

import hashlib
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle, zip_longest
from pathlib import Path

import pyarrow as pa

from manifests.storage import is_local, read_bytes
from manifests.verify.headers import BLOCK, PICTURE_ENDINGS, HeaderCheck, Layout

# Two empty blocks end a tar, and Python's own writer fills up to its records.
MIN_END_BYTES, MAX_END_BYTES = 2 * BLOCK, 2 * BLOCK + tarfile.RECORDSIZE
# What is read at once goes through the processor's cache to the hash; of a store, few large ranges are asked.
# On a busy machine one of the threads that read and hash is often ahead of the other.
NUM_BLOCKS = 8
READ_BYTES, REMOTE_READ_BYTES = 1 << 20, 16 << 20


@dataclass(frozen=True, kw_only=True)
class TarRead:
    """What one pass over a tar has found."""

    num_bytes: int
    sha256: str
    agrees: bool  # with its index; False where that is not known


def read_tar(path: Path, layout: Layout | None) -> TarRead:
    """Read a tar once; without a layout it is only hashed. Raises OSError where it cannot be read."""
    check = HeaderCheck(layout) if layout else None
    digest, num_bytes = hashlib.sha256(), 0
    waiting: deque[Future[None]] = deque()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="sha256") as hashing:
        for block in blocks_of(path):
            waiting.append(hashing.submit(digest.update, block))
            if check:
                check.take(num_bytes, block)
            num_bytes += len(block)
            if len(waiting) == NUM_BLOCKS - 1:
                waiting.popleft().result()
    end = check.end() if check else None
    agrees = end is not None and end_problem(path, end, num_bytes) is None
    return TarRead(num_bytes=num_bytes, sha256=digest.hexdigest(), agrees=agrees)


def blocks_of(path: Path) -> Iterator[memoryview]:
    """Yield the bytes of a file, a multiple of 512 at a time but for its end. A block is there until
    NUM_BLOCKS - 1 more were asked for."""
    if not is_local(path):
        size = path.stat().st_size
        for start in range(0, size, REMOTE_READ_BYTES):
            yield memoryview(read_bytes(path, start, min(size, start + REMOTE_READ_BYTES)))
        return
    # Memory that the system must clear first costs more than the reading: buffers are used again.
    buffers = cycle([memoryview(bytearray(READ_BYTES)) for _ in range(NUM_BLOCKS)])
    with path.open("rb") as file:
        while num_bytes := file.readinto(buffer := next(buffers)):
            yield buffer[:num_bytes]


def picture_ending(path: Path) -> str:
    """Return what the names of a tar's pictures end with, which is the same in all of it."""
    return read_bytes(path, 0, 100).rstrip(b"\0").decode().rpartition(".")[2]


def tar_problems(path: Path, index: pa.Table) -> Iterator[str]:
    """Yield how the members of a tar differ from its index, read one by one with Python's own reader."""
    rows = zip(*(index[name].to_pylist() for name in ("key", "offset", "num_bytes", "caption")), strict=True)
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        end, picture = 0, PICTURE_ENDINGS[0]  # one format in all of a tar
        for row, members in zip_longest(rows, _triples(tar)):
            if members and not end and members[0].name.rpartition(".")[2] in PICTURE_ENDINGS:
                picture = members[0].name.rpartition(".")[2]
            yield from _pair_problems(row, members or [], picture)
            end = _end_of(members[-1]) if members else end
    if problem := end_problem(path, end, path.stat().st_size):
        yield problem


def _triples(tar: tarfile.TarFile) -> Iterator[list[tarfile.TarInfo]]:
    members: list[tarfile.TarInfo] = []
    while member := tar.next():
        tar.members.clear()  # type: ignore[attr-defined]  # it would keep them all
        members.append(member)
        if len(members) == 3:
            yield members
            members = []
    if members:
        yield members


def _pair_problems(
    row: tuple[str, int, int, str] | None, members: list[tarfile.TarInfo], picture: str
) -> Iterator[str]:
    if row is None:
        yield from (f"{member.name} is not in the index" for member in members)
        return
    key, offset, num_bytes, caption = row
    names = [f"{key}.{ending}" for ending in (picture, "txt", "json")]
    found = [member.name for member in members]
    if found != names or not all(member.isreg() for member in members):
        yield f"members of {key} are not there: found {', '.join(found) or 'the end'}"
        return
    if (members[0].offset_data, members[0].size) != (offset, num_bytes):
        lies = f"{members[0].offset_data} + {members[0].size}"
        yield f"{names[0]} lies at {lies}, the index says {offset} + {num_bytes}"
    if members[1].size != (size := len(caption.encode())):
        yield f"{names[1]} has {members[1].size} bytes, the caption in the index {size}"


def _end_of(member: tarfile.TarInfo) -> int:
    return member.offset_data - (-member.size // BLOCK) * BLOCK


def end_problem(path: Path, end: int, num_bytes: int) -> str | None:
    """Return what is wrong behind the last member of a tar, which ends at byte `end`, None if nothing is."""
    if not end + MIN_END_BYTES <= num_bytes <= end + MAX_END_BYTES:
        return f"has {num_bytes - end} bytes behind its last member, not {MIN_END_BYTES} to {MAX_END_BYTES}"
    if any(read_bytes(path, end, num_bytes)):
        return "has bytes that are not zero behind its last member"
    return None
