"""Where files lie: on this machine, or behind any URL that fsspec knows (s3://, gs://, az://, hdfs://, http://).

A place is a `Path` on this machine and an `UPath` elsewhere, which has a Path's methods; `location` makes
either. Code that only joins, opens, lists and asks for sizes need not know which it has. What differs stands
here: writing whole files, parquet, copies, removal. What each store needs: `protocols`.
"""

import fnmatch
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from manifests.protocols import COPYING_STORES, OBJECT_STORES, WEB, options_of, patiently

# The type of a place in signatures that are looked at as a program runs, as Beam does: there an UPath is no
# Path, though it stands in for one.
if TYPE_CHECKING:
    Anywhere = Path
else:
    Anywhere = Path | UPath

# Small requests to a store wait nearly all of their time.
NUM_THREADS = 32

Item = TypeVar("Item")
Result = TypeVar("Result")

# s3fs would hold ten parts of 50 MiB each of an upload.
_UPLOAD_OPTIONS = {"s3": {"chunksize": 16 << 20, "max_concurrency": 4}}


def location(place: Path | str) -> Path:
    """Return the path of a place: a Path for one on this machine, else an UPath, which stands in for one.

    Raises ValueError for a kind of place that is unknown, or whose package is not there.
    """
    if not isinstance(place, str):
        return place
    protocol, separator, _ = place.partition("://")
    if separator and protocol != "file":
        return cast(Path, UPath(place.rstrip("/"), **options_of(protocol)))
    return Path(place.removeprefix("file://"))


def is_local(path: Path) -> bool:
    """Return whether a path is on this machine, where files have links, locks and atomic renames."""
    return isinstance(path, Path)


def can_list(path: Path) -> bool:
    """Return whether folders can be listed there: a web server only gives files whose names are known."""
    return is_local(path) or _remote(path).protocol not in WEB


def check_writable(path: Path, flag: str) -> None:
    """Raise ValueError where nothing can be written, naming the flag that asked for it."""
    if not can_list(path):
        raise ValueError(f"{flag} {path}: a web server is only read from. Next: give a folder, or s3://...")


def name_of(path: Path) -> str:
    """Return the last name of a place: of a bucket as such, the bucket's."""
    return path.resolve().name or _remote(path).path.strip("/")


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; an object store has none to make."""
    if is_local(folder):
        folder.mkdir(parents=True, exist_ok=True)
    elif _remote(folder).protocol not in OBJECT_STORES:
        _remote(folder).fs.makedirs(_remote(folder).path, exist_ok=True)


def entries(folder: Path, pattern: str) -> list[Path]:
    """Return what lies in a folder and has a name of this pattern, in order; nothing where it is not there.

    The globs of places elsewhere leave out, without a word, what a store could not list: this one raises.
    """
    if is_local(folder):
        return sorted(folder.glob(pattern))
    remote = _remote(folder)
    try:
        found = patiently(lambda: remote.fs.ls(remote.path, detail=False))
    except FileNotFoundError:
        return []
    paths = (str(path).rstrip("/") for path in found)
    names = (path.rpartition("/")[2] for path in paths if path != remote.path.rstrip("/"))
    return [folder / name for name in sorted(fnmatch.filter(names, pattern))]


def files_below(folder: Path) -> list[Path]:
    """Return all files in a folder and below it, in order; none where it is not there."""
    if is_local(folder):
        return sorted(path for path in folder.rglob("*") if path.is_file())
    remote = _remote(folder)
    names = (
        str(name).removeprefix(remote.path).strip("/")
        for name in patiently(lambda: remote.fs.find(remote.path))
    )
    return [folder / name for name in sorted(names) if name]


def for_each(do: Callable[[Item], Result], items: Iterable[Item], at: Path) -> Iterator[Result]:
    """Yield what `do` returns for each item, in order: one after the other for files of this machine, many at
    once where they lie elsewhere (`at`)."""
    if is_local(at):
        yield from map(do, items)
        return
    with ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="store") as threads:
        yield from threads.map(do, items)


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


def created(path: Path, data: bytes) -> bool:
    """Write a file elsewhere where there is none, as one step of the store; return whether it was written. An
    answer that was lost may say that it was not: see what is there. hdfs:// has no such step."""
    fs, place = _remote(path).fs, _remote(path).path
    try:
        patiently(lambda: fs.pipe_file(place, data, mode="create"))
    except FileExistsError:
        return False
    return True


@contextmanager
def here(path: Path) -> Iterator[Path]:
    """Give a file on this machine: itself, or for as long as it is needed a copy."""
    if is_local(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
        copy = Path(folder) / path.name
        patiently(lambda: _remote(path).fs.get_file(_remote(path).path, str(copy)))
        yield copy


def upload(source: Path, to: Path) -> None:
    """Copy a file of this machine to a place elsewhere, whole or not at all."""
    check_writable(to, "writing to")
    protocol, fs, place = _remote(to).protocol, _remote(to).fs, _remote(to).path
    options = _UPLOAD_OPTIONS.get(protocol, {})
    if protocol in OBJECT_STORES:
        patiently(lambda: fs.put_file(str(source), place, **options))
        return
    make_folder(to.parent)
    aside = _remote(to.with_name(f".{to.name}.{os.getpid()}.tmp")).path
    patiently(lambda: fs.put_file(str(source), aside))
    fs.mv(aside, place)


def link_or_copy(path: Path, to: Path) -> None:
    """Give a file another place, without moving its bytes where that can be: by a link, or within a store.

    Files of datasets are never written to once they are there, only replaced, so that both keep their bytes.
    """
    if _are_in_one_store(path, to):
        patiently(lambda: _remote(path).fs.cp_file(_remote(path).path, _remote(to).path))
        return
    if is_local(path) and not is_local(to):
        upload(path, to)
        return
    with written_whole(to) as temporary:
        if is_local(path):
            try:
                os.link(path, temporary)
            except OSError:  # another file system, or one without links
                shutil.copyfile(path, temporary)
        else:
            with path.open("rb") as file, temporary.open("wb") as copy:
                shutil.copyfileobj(file, copy, 1 << 20)


def move(path: Path, to: Path) -> None:
    """Give a file of this machine another place: by a rename, or whole by a copy before it is removed."""
    make_folder(to.parent)
    if is_local(to) and path.stat().st_dev == to.parent.stat().st_dev:
        path.replace(to)
        return
    link_or_copy(path, to)
    path.unlink()


def read_bytes(path: Path, start: int | None = None, stop: int | None = None) -> bytes:
    """Return a file's bytes, or those from `start` to `stop`, in one request where it lies elsewhere."""
    if not is_local(path):
        remote = _remote(path)
        return bytes(patiently(lambda: remote.fs.cat_file(remote.path, start=start, end=stop)))
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        first, last = start or 0, size if stop is None else min(stop, size)
        return os.pread(file.fileno(), max(0, last - first), first)


def read_ranges(places: Sequence[tuple[Path, int, int]]) -> list[bytes]:
    """Return the bytes of many (file, start, stop), of files in one place: all asked for at once where they
    lie elsewhere, so that they take the time of one."""
    if not places or is_local(places[0][0]):
        return [read_bytes(*place) for place in places]
    fs = _remote(places[0][0]).fs
    paths = [_remote(path).path for path, _, _ in places]
    starts, stops = [start for _, start, _ in places], [stop for _, _, stop in places]
    found = patiently(lambda: fs.cat_ranges(paths, starts, stops, on_error="raise"))
    return [bytes(data) for data in found]


def open_parquet(path: Path) -> pq.ParquetFile:
    """Open a parquet file; its row groups are read as they are asked for."""
    place, filesystem = _at(path)
    return pq.ParquetFile(place, filesystem=filesystem)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Return a parquet file as a table."""
    if is_local(path):
        return pq.read_table(path, columns=columns)
    if columns is None:
        return pq.read_table(pa.BufferReader(read_bytes(path)))
    with open_parquet(path) as file:
        return file.read(columns=columns).select(columns)  # in this order


def read_schema(path: Path) -> pa.Schema:
    """Return the schema of a parquet file, from its footer."""
    place, filesystem = _at(path)
    return pq.read_schema(place, filesystem=filesystem)


def num_rows(path: Path) -> int:
    """Return how many rows a parquet file has, from its footer."""
    place, filesystem = _at(path)
    return int(pq.read_metadata(place, filesystem=filesystem).num_rows)


def remove_file(path: Path) -> None:
    """Remove a file, by one request where it lies elsewhere; one that is not there is fine."""
    with suppress(FileNotFoundError):
        if is_local(path):
            path.unlink()
        else:
            patiently(lambda: _remote(path).fs.rm_file(_remote(path).path))


def remove_folder(folder: Path) -> None:
    """Remove a folder and all in it; one that is not there is fine."""
    if is_local(folder):
        shutil.rmtree(folder, ignore_errors=True)
    elif folder.exists():
        patiently(lambda: _remote(folder).fs.rm(_remote(folder).path, recursive=True))


def _are_in_one_store(path: Path, to: Path) -> bool:
    """Return whether a store can copy a file to another place by itself."""
    if is_local(path) or is_local(to) or _remote(path).protocol not in COPYING_STORES:
        return False
    return _remote(path).fs is _remote(to).fs


def _remote(path: Path) -> UPath:
    return cast(UPath, path)


def _at(path: Path) -> tuple[str, Any]:
    return (str(path), None) if is_local(path) else (_remote(path).path, _remote(path).fs)
