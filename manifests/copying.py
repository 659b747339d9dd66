"""Some of a tar's pairs to another tar, byte for byte."""

import tarfile
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pyarrow as pa

from manifests.storage import written_whole

END = b"\0" * 1024  # two empty blocks end a tar


def copy_members(path: Path, rows: pa.Table, to: Path) -> list[int]:
    """Write a tar of the members that belong to the rows, byte for byte, headers too; return where the
    picture of each lies in it. The rows are some of the tar's, in its order."""
    wanted = dict(zip(rows["key"].to_pylist(), rows["offset"].to_pylist(), strict=True))
    offsets = []
    with path.open("rb") as old, written_whole(to) as temporary, temporary.open("wb") as new:
        for key, start, stop in spans(path):
            if key in wanted:
                offsets.append(new.tell() + wanted[key] - start)
                old.seek(start)
                new.write(old.read(stop - start))
        new.write(END)
    assert len(offsets) == len(rows), (path, len(offsets), len(rows))
    return offsets


def spans(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield for each pair of a tar its key and where its members begin and end, headers and padding too."""
    with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as tar:
        for key, members in groupby(tar, key=lambda member: member.name.partition(".")[0]):
            ends = [(member.offset, member.offset_data + member.size) for member in members]
            yield key, ends[0][0], -(-ends[-1][1] // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
