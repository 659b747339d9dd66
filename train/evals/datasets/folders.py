"""Datasets that are published as a folder per class."""

from collections.abc import Iterator
from pathlib import Path

from scipy.io import loadmat

from train.evals.datasets.common import chosen_pictures, folders_of, lines, pictures_in, read_listed, spaced
from train.evals.datasets.published import Sample

# Folders in the order of the paper's class list, with words for them.
EUROSAT = {
    "Forest": "forest",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential buildings",
    "River": "river",
    "Pasture": "pasture land",
    "SeaLake": "lake or sea",
    "HerbaceousVegetation": "shrubland",
    "AnnualCrop": "annual crop land",
    "Industrial": "industrial buildings",
    "Highway": "highway or road",
}
DEVKIT = "ILSVRC2012_devkit_t12/data"
CALTECH101 = {
    "BACKGROUND_Google": "background",
    "Faces": "off-center face",
    "Faces_easy": "centered face",
    "Leopards": "leopard",
    "Motorbikes": "motorbike",
}


def caltech101_classes(root: Path) -> list[str]:
    """Return a name for each folder; the paper's for those that name no thing."""
    return [CALTECH101.get(name, spaced(name)) for name in folders_of(root / "101_ObjectCategories")]


def read_caltech101(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield 30 pictures a class for training, and all others for testing."""
    for label, name in enumerate(folders_of(root / "101_ObjectCategories")):
        pictures = pictures_in(root / "101_ObjectCategories" / name)
        training = set(chosen_pictures(pictures, 30))
        wanted = [path for path in pictures if (path in training) == (split == "train")]
        yield from read_listed((path, label) for path in wanted)


def read_country211(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split, countries in the order of their codes."""
    yield from _read_folders(root / "country211" / ("valid" if split == "val" else split))


def read_eurosat(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield 1,000 pictures a class for training and 500 others for testing."""
    for label, name in enumerate(EUROSAT):
        pictures = chosen_pictures(pictures_in(root / "2750" / name), 1500)
        cut = len(pictures) * 2 // 3
        yield from read_listed(
            (path, label) for path in sorted(pictures[:cut] if split == "train" else pictures[cut:])
        )


def resisc45_classes(root: Path) -> list[str]:
    """Return a name for each folder."""
    return [spaced(name) for name in folders_of(root / "NWPU-RESISC45")]


def read_resisc45(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield a tenth of each class for training, and nine tenths for testing."""
    for label, name in enumerate(folders_of(root / "NWPU-RESISC45")):
        pictures = pictures_in(root / "NWPU-RESISC45" / name)
        training = set(chosen_pictures(pictures, len(pictures) // 10))
        wanted = [path for path in pictures if (path in training) == (split == "train")]
        yield from read_listed((path, label) for path in wanted)


def read_rendered_sst2(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the pictures of a split: negative, then positive."""
    yield from _read_folders(root / "rendered-sst2" / ("valid" if split == "val" else split))


def imagenet_classes(root: Path) -> list[str]:
    """Return the first word of each synset, in the order of their ids. Raises ValueError without words."""
    if (root / "LOC_synset_mapping.txt").exists():
        return [
            line.partition(" ")[2].split(",")[0] for line in sorted(lines(root / "LOC_synset_mapping.txt"))
        ]
    if (root / DEVKIT / "meta.mat").exists():
        return [words.split(",")[0] for _, words in sorted(_synsets(root).values())]
    raise ValueError(
        f"{root} has ids of synsets for classes. Next: put LOC_synset_mapping.txt there, or pass --classes "
        f"FILE with 1,000 names in the order of the ids, such as CLIP's own"
    )


def read_imagenet(root: Path, split: str, fold: int) -> Iterator[Sample]:
    """Yield the training pictures, or those of the validation set, which everybody tests on."""
    folder = root / ("train" if split == "train" else "val")
    if folder.is_dir():
        yield from _read_folders(folder)
        return
    synsets = _synsets(root)
    order = {synset: label for label, (synset, _) in enumerate(sorted(synsets.values()))}
    truth = [
        order[synsets[int(line)][0]]
        for line in lines(root / DEVKIT / "ILSVRC2012_validation_ground_truth.txt")
    ]
    pictures = sorted((root / "ILSVRC2012_img_val").glob("*.JPEG"))
    yield from read_listed(zip(pictures, truth, strict=True))


def _synsets(root: Path) -> dict[int, tuple[str, str]]:
    """Return the development kit's numbers, each with the synset's id and words."""
    with (root / DEVKIT / "meta.mat").open("rb") as file:
        table = loadmat(file, squeeze_me=True)["synsets"]
    rows = {int(row["ILSVRC2012_ID"]): (str(row["WNID"]), str(row["words"])) for row in table}
    return {number: rows[number] for number in sorted(rows) if number <= 1000}  # the rest are inner nodes


def _read_folders(root: Path) -> Iterator[Sample]:
    for label, name in enumerate(folders_of(root)):
        yield from read_listed((path, label) for path in pictures_in(root / name))
