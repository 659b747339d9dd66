"""Where files lie: on this machine, or behind any URL that fsspec knows (s3://, gs://, az://, hdfs://, http://).

A place is a `Path` on this machine and an `UPath` elsewhere, which has a Path's methods; `location` makes
either. Code that only joins, opens, lists and asks for sizes need not know which it has. What differs stands
here: writing whole files, parquet, copies, removal.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath


def location(place: Path | str) -> Path:
    """Return the path of a place: a Path for one on this machine, else an UPath, which stands in for one."""
    if isinstance(place, str) and "://" in place and not place.startswith("file://"):
        return cast(Path, UPath(place))
    return Path(place.removeprefix("file://")) if isinstance(place, str) else place


def is_local(path: Path) -> bool:
    """Return whether a path is on this machine, where files have links, locks and atomic renames."""
    return isinstance(path, Path)


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Give a path on this machine to write to; on success the file is at `path`, on error nothing is.

    A reader sees the old file or the new one, never a part, also after a crash or a power cut: here by a
    rename, in an object store by an upload, which shows when it is complete.
    """
    if not is_local(path):
        with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
            temporary = Path(folder) / path.name
            yield temporary
            upload(temporary, path)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def upload(source: Path, to: Path) -> None:
    """Copy a file of this machine to a place elsewhere, whole or not at all."""
    remote = cast(UPath, to)
    remote.fs.put_file(str(source), remote.path)


def link_or_copy(path: Path, to: Path) -> None:
    """Give a file another place, without moving its bytes where that can be: by a link, or within a store.

    Files of datasets are never written to once they are there, only replaced, so that both keep their bytes.
    """
    if not is_local(path) and not is_local(to) and cast(UPath, path).fs is cast(UPath, to).fs:
        cast(UPath, path).fs.copy(cast(UPath, path).path, cast(UPath, to).path)
        return
    with written_whole(to) as temporary:
        if is_local(path):
            try:
                os.link(path, temporary)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, temporary)
        else:
            cast(UPath, path).fs.get_file(cast(UPath, path).path, str(temporary))


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file; its row groups are read as they are asked for."""
    place, filesystem = _at(path)
    return pq.ParquetFile(place, filesystem=filesystem)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return a parquet file as a table."""
    place, filesystem = _at(path)
    return pq.read_table(place, columns=columns, filesystem=filesystem)


def num_rows(path: Path) -> int:
    """Return how many rows a parquet file has, from its footer."""
    place, filesystem = _at(path)
    return int(pq.read_metadata(place, filesystem=filesystem).num_rows)


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it; one that is not there is fine."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif cast(UPath, folder).exists():
        cast(UPath, folder).fs.rm(cast(UPath, folder).path, recursive=True)


def _at(path: Path) -> tuple[str, Any]:
    return (str(path), None) if is_local(path) else (cast(UPath, path).path, cast(UPath, path).fs)
