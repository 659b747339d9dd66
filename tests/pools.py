"""Worker pools in processes of their own, as `python -m pipeline pool` starts them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

Pool = subprocess.Popen[str]


def start_pool(*flags: str, before: tuple[str, ...] = (), python: str = sys.executable) -> tuple[Pool, str]:
    """Start a pool, by a command before it where one is given; return it and its HOST:PORT."""
    command = [*before, python, "-m", "pipeline", "pool", "--port", "0", *flags]
    pool = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert pool.stdout is not None
    words = pool.stdout.readline().split()
    assert words[:2] == ["pool", "at"], words
    return pool, words[2].rstrip(":")


@contextmanager
def pools(number: int) -> Iterator[dict[str, Pool]]:
    """Give so many pools by their addresses, and end them."""
    started = [start_pool() for _ in range(number)]
    try:
        yield {address: pool for pool, address in started}
    finally:
        for pool, _ in started:
            end_pool(pool)


def end_pool(pool: Pool) -> None:
    """End a pool as a person does, if it is not over."""
    pool.terminate()
    pool.wait(30)
    if pool.stdout is not None:
        pool.stdout.close()
