"""Labelled pictures for an evaluation: a folder per class, or webdataset tars."""

import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.store import MANIFEST_NAME
from train.evals.identity import identity_of_files

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class LabelledPictures:
    """Pictures with the numbers of their classes, in a fixed order."""

    class_names: tuple[str, ...]
    root: Path
    tars: tuple[Path, ...]  # none: a folder per class
    folders: tuple[str, ...]  # of the classes, in the order of class_names

    def __iter__(self) -> Iterator[tuple[str, bytes, int]]:
        """Yield where a picture lies, its encoded bytes and the number of its class."""
        return self._from_tars() if self.tars else self._from_folders()

    def identity(self) -> str:
        """Return a text that changes whenever a picture, a label or the order does; nothing is read."""
        if self.tars:  # whose labels may be names
            return f"tars {self.root} {identity_of_files(self.root, self.tars)} {self.class_names}"
        return f"folders {self.root} {identity_of_files(self.root, (path for path, _ in self._paths()))}"

    def _from_folders(self) -> Iterator[tuple[str, bytes, int]]:
        for path, label in self._paths():
            yield str(path), path.read_bytes(), label

    def _paths(self) -> Iterator[tuple[Path, int]]:
        for label, folder in enumerate(self.folders):
            for path in sorted((self.root / folder).iterdir()):
                if path.suffix.lower() in PICTURE_SUFFIXES:
                    yield path, label

    def _from_tars(self) -> Iterator[tuple[str, bytes, int]]:
        numbers = {name: number for number, name in enumerate(self.class_names)}
        numbers |= {str(number): number for number in numbers.values()}
        for tar in self.tars:
            for key, parts in tar_samples(tar):
                pictures = [parts[suffix] for suffix in PICTURE_SUFFIXES if suffix in parts]
                written = parts.get(".cls") or parts.get(".txt") or b""
                label = numbers.get(written.decode().strip())
                if len(pictures) != 1 or label is None:
                    raise ValueError(
                        f"{tar}: sample {key} has {len(pictures)} pictures and the class {written!r}. "
                        f"Next: one picture each, and .cls or .txt with a number or name of the class list"
                    )
                yield f"{tar}{key}", pictures[0], label


def open_labelled(root: Path, classes: Path | None) -> LabelledPictures:
    """Return the labelled pictures at `root`.

    Folder per class: DIR/<class name>/*.jpg, classes in alphabetic order, or, with a `classes` file (JSON
    object of folder to name, or one name per line in the order of the folders), under its names.
    Webdataset: DIR/*.tar that hold <key>.jpg with <key>.cls (a number) or <key>.txt (a name), and the names
    in DIR/classnames.txt or the `classes` file. Raises ValueError where there are no such pictures or no
    names for them.
    """
    tars = tuple(sorted(root.glob("*.tar"))) if root.is_dir() else ()
    if tars:
        names = tuple(read_names(classes or root / "classnames.txt"))
        return LabelledPictures(class_names=names, root=root, tars=tars, folders=())
    folders = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    if (root / MANIFEST_NAME).exists():
        raise ValueError(
            f"{root} is a dataset of captions, not of labelled pictures: give --data DIR with classes"
        )
    if len(folders) < 2:
        raise ValueError(
            f"{root} holds no labelled pictures. Next: pass --data DIR with DIR/<class name>/*.jpg "
            f"for two classes or more, or with DIR/*.tar and DIR/classnames.txt"
        )
    return LabelledPictures(
        class_names=_names_of(folders, classes), root=root, tars=(), folders=tuple(folders)
    )


def _names_of(folders: list[str], classes: Path | None) -> tuple[str, ...]:
    if classes is None:
        return tuple(folder.replace("_", " ") for folder in folders)
    if classes.suffix == ".json":
        names = json.loads(classes.read_text(encoding="utf-8"))
        missing = [folder for folder in folders if folder not in names]
        if missing:
            raise ValueError(f"{classes} has no name for {', '.join(missing)}. Next: add it")
        return tuple(names[folder] for folder in folders)
    listed = read_names(classes)
    if len(listed) != len(folders):
        raise ValueError(
            f"{classes} has {len(listed)} names for {len(folders)} folders. Next: one name per line"
        )
    return tuple(listed)


def read_names(path: Path) -> list[str]:
    if not path.is_file():
        raise ValueError(f"no class names at {path}. Next: write one name per line, the first for label 0")
    return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def tar_samples(tar: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield each key of a webdataset tar with its files by suffix; the files of a sample are adjacent."""
    key, parts = "", dict[str, bytes]()
    with tar.open("rb") as file, tarfile.open(fileobj=file) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is None:
                continue
            folder, _, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            if f"{folder}/{stem}" != key and parts:
                yield key, parts
                parts = {}
            key = f"{folder}/{stem}"
            parts[f".{suffix.lower()}"] = content.read()
    if parts:
        yield key, parts
