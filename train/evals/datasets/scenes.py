"""Datasets whose label is worked out from what is annotated: counts, distances, traffic signs."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from train.evals.datasets.common import chosen, lines, read_listed
from train.evals.datasets.published import Sample

CLEVR_COUNTS = ("10", "3", "4", "5", "6", "7", "8", "9")  # in the paper's order, which is that of strings
KITTI_DISTANCES = (
    "a photo i took of a car on my left or right side.",
    "a photo i took with a car nearby.",
    "a photo i took with a car in the distance.",
    "a photo i took with no car.",
)
# Metres to the nearest vehicle; 1,000 stands for none (VTAB's task "closest_vehicle_distance").
KITTI_LIMITS_M = (8.0, 20.0, 999.0)


def read_clevr(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield 2,000 of the training pictures, or 500 of the validation ones, by how many things they show."""
    part, num = ("train", 2000) if split == "train" else ("val", 500)
    text = (root / "CLEVR_v1.0" / "scenes" / f"CLEVR_{part}_scenes.json").read_text(encoding="utf-8")
    counts = {scene["image_filename"]: str(len(scene["objects"])) for scene in json.loads(text)["scenes"]}
    folder = root / "CLEVR_v1.0" / "images" / part
    yield from read_listed(
        (folder / name, CLEVR_COUNTS.index(counts[name])) for name in sorted(chosen(counts, num))
    )


def read_kitti(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split of the drives, by the distance of the nearest vehicle."""
    testing = kitti_test_pictures(root)
    for path in sorted((root / "training" / "label_2").glob("*.txt")):
        if (int(path.stem) in testing) == (split == "test"):
            picture = root / "training" / "image_2" / f"{path.stem}.png"
            yield str(picture), picture.read_bytes(), _distance_class(lines(path))


def kitti_test_pictures(root: Path) -> set[int]:
    """Return the numbers of the test pictures: those of a tenth of the drives, drawn as TensorFlow Datasets
    3 does (`_build_splits`), whose 711 pictures are the paper's.
    """
    rows = [int(word) - 1 for word in ",".join(lines(root / "mapping" / "train_rand.txt")).split(",") if word]
    mapping = lines(root / "mapping" / "train_mapping.txt")
    drives = [mapping[row].split()[1] for row in rows]
    names = sorted(set(drives))
    num_testing = max(1, len(names) // 10)
    testing = set(np.random.RandomState(123).choice(names, num_testing, replace=False))
    return {number for number, drive in enumerate(drives) if drive in testing}


def read_gtsrb(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of the final training or test set."""
    if split == "train":
        for folder in sorted((root / "GTSRB" / "Final_Training" / "Images").iterdir()):
            yield from _gtsrb(folder / f"GT-{folder.name}.csv", folder)
        return
    folder = root / "GTSRB" / "Final_Test" / "Images"
    beside = root / "GT-final_test.csv"
    yield from _gtsrb(beside if beside.exists() else folder / "GT-final_test.csv", folder)


def _gtsrb(table: Path, folder: Path) -> Iterator[Sample]:
    rows = csv.DictReader(lines(table), delimiter=";")
    yield from read_listed((folder / row["Filename"], int(row["ClassId"])) for row in rows)


def _distance_class(objects: list[str]) -> int:
    """Return the class of KITTI's lines of objects: type first, metres ahead of the camera second to last."""
    rows = [line.split() for line in objects]
    nearest = min([1000.0, *(float(row[13]) for row in rows if row[0] in ("Car", "Van", "Truck"))])
    return sum(nearest > limit for limit in KITTI_LIMITS_M)
