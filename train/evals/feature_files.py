"""Features on disk. While they are made each part is a file; when all are there they become one:

FOLDER/parts/000012.safetensors   some pictures' features, labels, keys, and those that could not be read
FOLDER/features.safetensors       image (N, embed_dim), hidden (N, width), labels (N,)
FOLDER/keys.parquet               key, in the same order
FOLDER/about.json                 what they are of; written last: present means whole
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from manifests.storage import remove_folder, written_whole
from manifests.store import write_bytes, write_table

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

NO_LABEL = -1
_NAMES = ("image", "hidden", "labels")
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype(np.float32), "I64": np.dtype(np.int64)}


@dataclass(frozen=True, kw_only=True)
class Features:
    """The features of N pictures, in the order of the pictures; those that could not be read are left out.

    From a cache they are mapped from the disk: what is not looked at takes no memory.
    """

    image: Floats  # (N, embed_dim), projected, of unit length
    hidden: Floats  # (N, width), before the projection, as they are: what a linear probe takes
    labels: Ints  # (N,), NO_LABEL where a picture has none
    keys: pa.ChunkedArray  # (N,) of string
    bad_pictures: tuple[str, ...]  # "key: what Pillow said"

    def __len__(self) -> int:
        return len(self.labels)


def joined(parts: Sequence[Features]) -> Features:
    """Return parts as one, in memory."""
    some = [part for part in parts if len(part)] or list(parts[:1])  # an empty one has no width
    return Features(
        image=np.concatenate([part.image for part in some]),
        hidden=np.concatenate([part.hidden for part in some]),
        labels=np.concatenate([part.labels for part in some]),
        keys=pa.chunked_array([chunk for part in parts for chunk in part.keys.chunks], pa.string()),
        bad_pictures=tuple(bad for part in parts for bad in part.bad_pictures),
    )


def part_path(folder: Path, number: int) -> Path:
    """Return where a part lies."""
    return folder / "parts" / f"{number:06}.safetensors"


def write_part(folder: Path, number: int, part: Features) -> None:
    """Write a part whole or not at all."""
    words = {"keys": json.dumps(part.keys.to_pylist()), "bad_pictures": json.dumps(part.bad_pictures)}
    write_bytes(
        part_path(folder, number), save({name: getattr(part, name) for name in _NAMES}, metadata=words)
    )


def is_whole(folder: Path) -> bool:
    """Return whether a folder holds all that was to be computed."""
    return (folder / "about.json").is_file()


def join_parts(folder: Path, num_parts: int, about: dict[str, Any]) -> None:
    """Make one of a folder's parts, of which only one is in memory at a time, and remove them."""
    paths = [part_path(folder, number) for number in range(num_parts)]
    keys, bad = [], []
    for path in paths:
        words = _words(path)
        keys.append(pa.array(words["keys"], pa.string()))
        bad += words["bad_pictures"]
    write_table(folder / "keys.parquet", pa.table({"key": pa.chunked_array(keys, pa.string())}))
    _write_joined(
        folder / "features.safetensors", [path for path in paths if _words(path)["keys"]] or paths[:1]
    )
    fields = about | {"num_pictures": sum(map(len, keys)), "bad_pictures": bad}
    write_bytes(folder / "about.json", json.dumps(fields, indent=1, ensure_ascii=False).encode())
    remove_folder(folder / "parts")


def read_features(folder: Path) -> Features:
    """Return what a whole folder holds, mapped from the disk."""
    about = json.loads((folder / "about.json").read_bytes())
    arrays = _mapped(folder / "features.safetensors")
    keys = pq.read_table(folder / "keys.parquet").column("key")
    return Features(**arrays, keys=keys, bad_pictures=tuple(about["bad_pictures"]))


def _words(path: Path) -> dict[str, list[str]]:
    with safe_open(path, "numpy") as file:
        return {name: json.loads(text) for name, text in file.metadata().items()}


def _write_joined(path: Path, parts: list[Path]) -> None:
    """Write parts one after the other as the tensors of one safetensors file."""
    header, end = {}, 0
    for name in _NAMES:
        shapes = [_described(part)[name] for part in parts]
        shape = [sum(found["shape"][0] for found in shapes), *shapes[0]["shape"][1:]]
        start, end = end, end + int(np.prod(shape)) * _TYPES[shapes[0]["dtype"]].itemsize
        header[name] = shapes[0] | {"shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that numbers lie where a processor reads them best
    with written_whole(path) as temporary, temporary.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in _NAMES:
            for part in parts:
                file.write(_mapped(part)[name].data)


def _described(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    return header | {"first": 8 + length}


def _mapped(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a safetensors file, mapped from the disk, which its own reader does not offer."""
    header = _described(path)
    arrays: dict[str, NDArray[Any]] = {}
    for name in _NAMES:
        kind, shape = _TYPES[header[name]["dtype"]], tuple(header[name]["shape"])
        first = header["first"] + header[name]["data_offsets"][0]
        empty = 0 in shape  # nothing can be mapped
        arrays[name] = np.empty(shape, kind) if empty else np.memmap(path, kind, "r", first, shape)
    return arrays
