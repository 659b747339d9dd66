"""A list of keys, by which pairs are chosen: sixteen bytes each in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from manifests.spill import key_numbers
from manifests.storage import read_bytes, read_table


class Ids:
    """The keys in a file: a parquet table with a column `key`, or a text with one key a line."""

    def __init__(self, path: Path) -> None:
        """Raise ValueError where the file cannot be read or holds what is no key."""
        try:
            keys = _keys_in(path)
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            raise ValueError(
                f"--ids {path} cannot be read ({error}): give a text file, one key a line"
            ) from error
        try:
            self._sorted = np.unique(_as_bytes(pa.chunked_array([pa.array(keys, pa.string())])))
        except ValueError as error:
            raise ValueError(f"--ids {path}: a key has 32 hex digits: write one a line") from error

    def __len__(self) -> int:
        return len(self._sorted)

    def mask(self, keys: pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return bool (N,): the keys that are in the list."""
        asked = _as_bytes(keys)
        if not len(self._sorted):
            return np.zeros(len(asked), dtype=bool)
        places = np.searchsorted(self._sorted, asked)
        found: NDArray[np.bool_] = self._sorted[np.minimum(places, len(self._sorted) - 1)] == asked
        return found


def _keys_in(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        found: list[str] = read_table(path, ["key"])["key"].to_pylist()
        return found
    lines = map(str.strip, read_bytes(path).decode().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _as_bytes(keys: pa.ChunkedArray) -> NDArray[np.bytes_]:
    return np.ascontiguousarray(key_numbers(keys).astype(">u8")).view("S16").ravel()
