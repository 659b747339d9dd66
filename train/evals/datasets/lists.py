"""Datasets that are published as pictures with lists in text, tables or JSON lines."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from train.evals.datasets.common import lines, read_listed, spaced
from train.evals.datasets.published import Sample
from train.evals.metrics import pack_label

VOC2007 = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dog", "horse"),
    *("motorbike", "person", "sheep", "sofa", "diningtable", "pottedplant", "train", "tvmonitor"),
)
AIRCRAFT = "fgvc-aircraft-2013b/data"


def birdsnap_classes(root: Path) -> list[str]:
    """Return the names of the species in the order of their ids, without the signs that folders lack."""
    return [
        spaced(row["dir"]) for row in sorted(_table(root / "species.txt"), key=lambda row: int(row["id"]))
    ]


def read_birdsnap(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield those pictures of a split that could still be downloaded; the list of the split names more."""
    testing = set(lines(root / "test_images.txt")[1:])
    for row in _table(root / "images.txt"):
        path = root / "download" / "images" / row["path"]
        if (row["path"] in testing) == (split == "test") and path.exists():
            yield str(path), path.read_bytes(), int(row["species_id"]) - 1


def dtd_classes(root: Path) -> list[str]:
    """Return the textures, from all three lists of the first fold."""
    listed = [line for split in ("train", "val", "test") for line in lines(root / f"dtd/labels/{split}1.txt")]
    return sorted({line.partition("/")[0] for line in listed})


def read_dtd(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of the first of the ten folds, as the paper does."""
    labels = {name: label for label, name in enumerate(dtd_classes(root))}
    listed = lines(root / f"dtd/labels/{split}1.txt")
    yield from read_listed(
        (root / "dtd" / "images" / line, labels[line.partition("/")[0]]) for line in listed
    )


def aircraft_classes(root: Path) -> list[str]:
    """Return the variants."""
    return lines(root / AIRCRAFT / "variants.txt")


def read_aircraft(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split, a line of which is a picture's number and its variant."""
    labels = {name: label for label, name in enumerate(aircraft_classes(root))}
    listed = [line.split(" ", 1) for line in lines(root / AIRCRAFT / f"images_variant_{split}.txt")]
    yield from read_listed(
        (root / AIRCRAFT / "images" / f"{number}.jpg", labels[variant]) for number, variant in listed
    )


def food101_classes(root: Path) -> list[str]:
    """Return the dishes."""
    return [spaced(name) for name in lines(root / "food-101/meta/classes.txt")]


def read_food101(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split."""
    labels = {name: label for label, name in enumerate(lines(root / "food-101/meta/classes.txt"))}
    yield from read_listed(
        (root / "food-101" / "images" / f"{line}.jpg", labels[line.partition("/")[0]])
        for line in lines(root / f"food-101/meta/{split}.txt")
    )


def pets_classes(root: Path) -> list[str]:
    """Return the breeds: cats, whose names begin with a capital letter, then dogs, as in the paper."""
    return [spaced(name) for name in _breeds(root)]


def read_pets(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split; a picture's name is its breed and a number."""
    labels = {name: label for label, name in enumerate(_breeds(root))}
    listed = [line.split()[0] for line in _unmarked(root / _pets_list(split))]
    yield from read_listed(
        (root / "images" / f"{name}.jpg", labels[name.rpartition("_")[0]]) for name in listed
    )


def sun397_classes(root: Path) -> list[str]:
    """Return the scenes: /a/apartment_building/outdoor is an apartment building outdoor."""
    return [spaced(line[3:].replace("/", " ")) for line in lines(root / "ClassName.txt")]


def read_sun397(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of the first of the ten partitions."""
    labels = {name: label for label, name in enumerate(lines(root / "ClassName.txt"))}
    listed = lines(root / ("Training_01.txt" if split == "train" else "Testing_01.txt"))
    yield from read_listed(
        (root / "SUN397" / line.removeprefix("/"), labels[line.rpartition("/")[0]]) for line in listed
    )


def read_hateful_memes(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures for training, or those of the seen development set."""
    seen = "dev_seen.jsonl" if (root / "dev_seen.jsonl").exists() else "dev.jsonl"
    rows = [json.loads(line) for line in lines(root / ("train.jsonl" if split == "train" else seen))]
    yield from read_listed((root / row["img"], int(row["label"])) for row in rows)


def read_voc2007(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split with the classes they show; of a difficult object, none is counted."""
    voc = root / "VOCdevkit" / "VOC2007"
    part = "trainval" if split == "train" else "test"
    shown: dict[str, list[int]] = {}
    difficult: dict[str, list[int]] = {}
    for number, name in enumerate(VOC2007):
        for line in lines(voc / "ImageSets" / "Main" / f"{name}_{part}.txt"):
            picture, verdict = line.split()
            shown.setdefault(picture, []).extend([number] if verdict == "1" else [])
            difficult.setdefault(picture, []).extend([number] if verdict == "0" else [])
    yield from read_listed(
        (voc / "JPEGImages" / f"{name}.jpg", pack_label(shown[name], difficult[name], len(VOC2007)))
        for name in sorted(shown)
    )


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(lines(path), delimiter="\t"))


def _unmarked(path: Path) -> list[str]:
    return [line for line in lines(path) if not line.startswith("#")]


def _pets_list(split: str) -> str:
    return "annotations/trainval.txt" if split == "train" else "annotations/test.txt"


def _breeds(root: Path) -> list[str]:
    listed = [line for split in ("train", "test") for line in _unmarked(root / _pets_list(split))]
    return sorted({line.split()[0].rpartition("_")[0] for line in listed})
