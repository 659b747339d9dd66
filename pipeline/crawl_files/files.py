"""Where crawl files lie: on this machine, or behind any URL that fsspec knows; alone or in lists."""

import gzip
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO

import fsspec
from aiohttp import ClientError

LIST_ENDINGS = (".paths", ".paths.gz", ".txt", ".txt.gz")
NUM_TRIES = 3
COPY_BYTES = 1 << 20


@cache
def listed(path: str, prefix: str) -> tuple[str, ...]:
    """Return the files that a path stands for: those of a list, each with `prefix` unless it is a URL or an
    absolute path, or the path itself. Raises ValueError where a list cannot be read."""
    if not path.endswith(LIST_ENDINGS):
        return (path,)
    try:
        with fsspec.open(path, "rb") as file:
            content = file.read()
        lines = (gzip.decompress(content) if path.endswith(".gz") else content).decode().splitlines()
    except (OSError, EOFError, ClientError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read as a list of files: {error}") from error
    names = [line.strip() for line in lines if line.strip()]
    return tuple(name if "://" in name or name.startswith("/") else prefix + name for name in names)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading. A remote one is copied here first, so that a connection that breaks is not
    taken for a file that was cut. Raises FileNotFoundError, and OSError when it cannot be had."""
    if "://" not in path:
        with Path(path).open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as copy:
        for num_tries in range(1, NUM_TRIES + 1):
            try:
                _copy(path, copy)
                break
            except FileNotFoundError:
                raise
            except (OSError, ClientError, TimeoutError) as error:
                if num_tries == NUM_TRIES:
                    raise OSError(f"{path}: {error}") from error
                time.sleep(2.0**num_tries)
        copy.seek(0)
        yield copy


def _copy(path: str, copy: IO[bytes]) -> None:
    copy.seek(0)
    copy.truncate()
    with fsspec.open(path, "rb") as file:
        shutil.copyfileobj(file, copy, COPY_BYTES)
