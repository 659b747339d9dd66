"""Weights in other people's files, read without running any code: TorchScript archives (OpenAI's), state
dicts (.pt, .pth, .bin) and safetensors.
"""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from manifests.storage import is_local, read_bytes
from train.torchscript import BROKEN_PICKLE, is_torchscript, read_torchscript


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return a file's tensors by name, on the CPU, in the types in which they are stored.

    Of a training checkpoint, such as open_clip's, the model is taken, without the `module.` that training on
    several GPUs puts before its names. Raises ValueError for a file that is broken, of no such kind, or whose
    pickle would run code.
    """
    if not path.is_file():
        raise ValueError(f"{path} is no file. Next: give a checkpoint, or the folder of an exported model")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        found = _read_pickled(path)
    except (*BROKEN_PICKLE, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: {_first_line(error)}. Next: get it from where you trust it") from error
    for nested in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(nested), dict):
            found = found[nested]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ValueError(f"{path} holds no state dict, but {type(found).__name__}. Next: give a checkpoint")
    if inflated := [name for name, tensor in found.items() if _is_inflated(tensor)]:
        raise ValueError(
            f"{path}: {inflated[0]} is larger than its bytes. Next: get it from where you trust it"
        )
    return {str(name).removeprefix("module."): tensor for name, tensor in found.items()}


def _is_inflated(tensor: Tensor) -> bool:
    """Return whether a tensor repeats its bytes, by which a small file could ask for any amount of memory."""
    return tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        if is_local(path):
            return safetensors.torch.load_file(path)
        return safetensors.torch.load(read_bytes(path))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: {error}. Next: get it again") from error


def _read_pickled(path: Path) -> Any:
    with path.open("rb") as file:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                if is_torchscript(archive):
                    return read_torchscript(archive)
        file.seek(0)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # torch's own message advises to run the code.
            raise ValueError("not read, none of it was run: its pickle asks for more than weights") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
