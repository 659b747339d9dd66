"""Weights out of a TorchScript archive, as OpenAI published CLIP's, without running what is in it.

The archive is a zip: `data.pkl` says which modules hold which tensors, `data/0`, `data/1`, ... are their
bytes, `code/` is a program, which nobody here reads. `torch.jit.load` would run the archive's code.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_TYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# What a pickle that is broken or made to harm raises while it is read.
BROKEN_PICKLE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def is_torchscript(archive: zipfile.ZipFile) -> bool:
    """Return whether a zip is a TorchScript archive, as torch itself tells them from plain ones."""
    return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_torchscript(archive: zipfile.ZipFile) -> dict[str, Tensor]:
    """Return every tensor that a module of the archive holds, by its path of attributes ("visual.proj").

    Raises ValueError for an archive whose pickle asks for anything but tensors, modules and their attributes.
    """
    (name,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
    root = name.partition("/")[0]

    def read_storage(key: str) -> bytes:
        return _stored(archive, f"{root}/data/{key}")

    try:
        module = _TensorUnpickler(io.BytesIO(_stored(archive, name)), read_storage).load()
        return dict(_tensors(module, ""))
    except BROKEN_PICKLE as error:
        raise ValueError(f"not read, none of it was run: {error}") from error


def _stored(archive: zipfile.ZipFile, name: str) -> bytes:
    # torch compresses the program alone; what is not compressed is no larger than the file.
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed, as torch does not")
    return archive.read(name)


class _Module:
    """What stands for an object of the archive's program: its attributes, no methods."""

    attributes: dict[str, Any]

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes


class _TensorUnpickler(pickle.Unpickler):
    """Knows tensors, their storages, modules of the archive and OrderedDict; refuses every other name."""

    def __init__(self, file: io.BytesIO, read_storage: Callable[[str], bytes]) -> None:
        super().__init__(file)
        self._read_storage = read_storage

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "__torch__":
            # Each time a class of its own, so that nothing that a pickle does to one outlives it.
            return type("Module", (_Module,), {})
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: storage.as_strided(size, stride, offset)
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if module == "torch.jit._pickle":  # lists with the types of what they hold
            return lambda values, *_: values
        raise pickle.UnpicklingError(f"its pickle asks for {module}.{name}, which holds no weights")

    def persistent_load(self, pid: Any) -> Tensor:
        kind, dtype, key, _, num_elements = pid
        assert kind == "storage", pid
        data = bytearray(self._read_storage(key))
        if len(data) != num_elements * dtype.itemsize:
            raise pickle.UnpicklingError(f"storage {key} has {len(data)} bytes, not {num_elements} elements")
        return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _tensors(module: Any, path: str) -> list[tuple[str, Tensor]]:
    found: list[tuple[str, Tensor]] = []
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            found.append((f"{path}{name}", value))
        elif isinstance(value, _Module):
            found += _tensors(value, f"{path}{name}.")
    return found
