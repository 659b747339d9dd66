"""Datasets that are published as arrays of pixels. Pictures come out as PNG, which loses nothing."""

import csv
import gzip
import importlib
import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.evals.datasets.common import encoded, lines, pictures_in, read_listed, spaced
from train.evals.datasets.names import read_names
from train.evals.datasets.published import Sample

FER2013 = (
    *(("angry",), ("disgusted",), ("fearful",), ("happy", "smiling"), ("sad", "depressed")),
    *(("surprised", "shocked", "spooked"), ("neutral", "bored")),
)

HARMLESS = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


def read_cifar10(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield a split of the binary version, the pickled one, or a folder per class in ROOT/<split>."""
    if (root / "cifar-10-batches-bin").is_dir():
        files = sorted((root / "cifar-10-batches-bin").glob(f"{_cifar10_files(split)}.bin"))
        yield from (sample for path in files for sample in _cifar_records(path, num_labels=1))
    elif (root / "cifar-10-batches-py").is_dir():
        files = sorted((root / "cifar-10-batches-py").glob(_cifar10_files(split)))
        yield from (sample for path in files for sample in _cifar_pickle(path, b"labels"))
    else:
        for label, name in enumerate(read_names("cifar10")):
            yield from read_listed((path, label) for path in pictures_in(root / split / name))


def cifar100_classes(root: Path) -> list[str]:
    """Return the fine classes."""
    if (root / "cifar-100-binary").is_dir():
        return [spaced(name) for name in lines(root / "cifar-100-binary" / "fine_label_names.txt")]
    return [
        spaced(name.decode()) for name in _unpickled(root / "cifar-100-python" / "meta")[b"fine_label_names"]
    ]


def read_cifar100(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield a split of the binary version or of the pickled one, with its fine labels."""
    if (root / "cifar-100-binary").is_dir():
        yield from _cifar_records(root / "cifar-100-binary" / f"{split}.bin", num_labels=2)
    else:
        yield from _cifar_pickle(root / "cifar-100-python" / split, b"fine_labels")


def read_mnist(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield a split of the IDX files, packed or not."""
    stem = "train" if split == "train" else "t10k"
    labels = _idx(root / f"{stem}-labels-idx1-ubyte")
    for number, pixels in enumerate(_idx(root / f"{stem}-images-idx3-ubyte")):
        yield f"{root / stem}#{number}", encoded(pixels), int(labels[number])


def read_fer2013(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a Usage: Training, PublicTest (validation) or PrivateTest."""
    path = next(path for path in (root / "fer2013.csv", root / "icml_face_data.csv") if path.exists())
    usage = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}[split]
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, skipinitialspace=True)):
            if row["Usage"] == usage:
                pixels = np.array(row["pixels"].split(), np.uint8).reshape(48, 48)
                yield f"{path}#{number}", encoded(pixels), int(row["emotion"])


def stl10_classes(root: Path) -> list[str]:
    """Return the classes."""
    return lines(root / "stl10_binary" / "class_names.txt")


def read_stl10(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the test set, or the 1,000 pictures of one of ten folds of the training set."""
    folder = root / "stl10_binary"
    labels = np.frombuffer((folder / f"{split}_y.bin").read_bytes(), np.uint8)
    # Columns come first: (N, 3, 96 columns, 96 rows).
    pixels = np.frombuffer((folder / f"{split}_X.bin").read_bytes(), np.uint8).reshape(-1, 3, 96, 96)
    folds = lines(folder / "fold_indices.txt") if split == "train" else []
    rows = map(int, folds[fold - 1].split()) if folds else range(len(labels))
    for row in rows:
        picture = np.ascontiguousarray(pixels[row].transpose(2, 1, 0))
        yield f"{folder / split}#{row}", encoded(picture), int(labels[row]) - 1


def read_patch_camelyon(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the patches of a split. Raises ValueError without h5py."""
    try:
        h5py = importlib.import_module("h5py")
    except ModuleNotFoundError as error:
        raise ValueError(
            "PatchCamelyon is HDF5, and h5py is missing. Next: pip install 'openwit[hdf5]'"
        ) from error
    stem = f"camelyonpatch_level_2_split_{'valid' if split == 'val' else split}"
    pictures, labels = root / f"{stem}_x.h5", root / f"{stem}_y.h5"
    with pictures.open("rb") as first, labels.open("rb") as second:
        truth = h5py.File(second, "r")["y"][:].ravel()
        for number, pixels in enumerate(h5py.File(first, "r")["x"]):
            yield f"{pictures}#{number}", encoded(pixels), int(truth[number])


def _cifar10_files(split: str) -> str:
    return "data_batch_*" if split == "train" else "test_batch"


def _cifar_records(path: Path, num_labels: int) -> Iterator[Sample]:
    """Yield a binary file's pictures: label bytes, the finest last, and planes of red, green and blue."""
    records = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, num_labels + 3072)
    for number, record in enumerate(records):
        yield f"{path}#{number}", _planes(record[num_labels:]), int(record[num_labels - 1])


def _cifar_pickle(path: Path, labels: bytes) -> Iterator[Sample]:
    batch = _unpickled(path)
    for number, (pixels, label) in enumerate(zip(batch[b"data"], batch[labels], strict=True)):
        yield f"{path}#{number}", _planes(pixels), int(label)


def _planes(flat: NDArray[np.uint8]) -> bytes:
    return encoded(np.ascontiguousarray(flat.reshape(3, 32, 32).transpose(1, 2, 0)))


def _idx(path: Path) -> NDArray[np.uint8]:
    """Return an IDX file's array of bytes: 0 0 8, the number of dimensions, each as 4 bytes, values."""
    packed = path.with_name(f"{path.name}.gz")
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    if data[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes. Next: download it again")
    shape = np.frombuffer(data, ">u4", count=data[3], offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(tuple(map(int, shape)))


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists, bytes and NumPy arrays, and runs nothing else that a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in HARMLESS:
            return getattr(importlib.import_module(module.replace("numpy.core", "numpy._core")), name)
        raise ValueError(f"this file of pixels names {module}.{name}: it is not the published one")


def _unpickled(path: Path) -> dict[bytes, Any]:
    found: dict[bytes, Any] = _Arrays(io.BytesIO(path.read_bytes()), encoding="bytes").load()
    return found
