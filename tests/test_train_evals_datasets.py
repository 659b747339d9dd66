"""Every dataset of the registry, read from a tiny tree in its authors' layout; CIFAR-10 and MNIST from real
ones.
"""

import io
import itertools
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from manifests.storage import location
from tests.published_trees import TREES, grey, picture, put, video
from tests.test_train_zero_shot import make_tar
from train.evals.datasets import DATASETS, open_dataset
from train.evals.datasets.common import chosen
from train.evals.datasets.prompts import read_prompts
from train.evals.datasets.scenes import kitti_test_pictures
from train.evals.datasets.videos import middle_frame
from train.evals.metrics import pack_label

PROMPTS = Path("../shared/data/text/clip/openai_prompts.md")
REAL = Path("../shared/data/eval")
# Splits that are drawn: their trees have the same pictures in all, so that what is drawn does not matter.
DRAWN = {"caltech101", "eurosat", "resisc45", "kitti_distance"}
NEEDS = {"patch_camelyon": "h5py", "kinetics700": "av", "ucf101": "av"}
ALL_SPLITS = [(name, split) for name, known in DATASETS.items() for split in known.splits]


def level(data: bytes) -> int:
    """Return the middle pixel of a picture."""
    image = Image.open(io.BytesIO(data)).convert("L")
    return int(np.asarray(image)[image.height // 2, image.width // 2])


@pytest.mark.parametrize(("name", "split"), ALL_SPLITS)
def test_every_picture_has_its_own_label_and_split(name: str, split: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    TREES[name](tmp_path)
    opened = open_dataset(name, tmp_path, split, fold=DATASETS[name].num_folds(split))
    samples = list(opened)
    shown_in = "test" if name in DRAWN else split
    # The lowest bit of a multi-label dataset's label is the class that the picture shows.
    classes = [(label & -label).bit_length() - 1 if name == "voc2007" else label for _, _, label in samples]
    for (_, data, _), label in zip(samples, classes, strict=True):
        assert abs(level(data) - grey(shown_in, label)) <= 2
    assert len({key for key, _, _ in samples}) == len(samples) >= 1
    assert max(classes) < len(opened.class_names)
    assert samples == list(opened)


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_may_lie_in_a_store(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    TREES[name](tmp_path)
    store = location(f"memory://{tmp_path.name}-{name}")
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        put(store / path.relative_to(tmp_path).as_posix(), path.read_bytes())
    here, there = (list(open_dataset(name, root)) for root in (tmp_path, store))
    assert [sample[1:] for sample in there] == [sample[1:] for sample in here]


def test_the_paper_has_27_datasets_and_so_has_the_registry() -> None:
    assert len(DATASETS) == 27 == len(TREES)
    assert list(DATASETS) == sorted(DATASETS)


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_dataset_says_in_one_line_what_to_put_where(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=f"^{name} is not at .*, and nothing is downloaded. Next: unpack"
    ) as error:
        open_dataset(name, tmp_path)
    assert "\n" not in str(error.value)
    assert all(tree in str(error.value) for tree in DATASETS[name].tree)


@pytest.mark.skipif(not PROMPTS.exists(), reason="CLIP's prompts file is not here")
@pytest.mark.parametrize("name", [name for name in DATASETS if name != "imagenet"])
def test_the_papers_prompts_have_a_name_for_every_class(name: str) -> None:
    paper = read_prompts(PROMPTS, DATASETS[name].section)
    assert len(paper.classes) == DATASETS[name].num_classes
    assert DATASETS[name].templates[0] in paper.templates
    assert all(template.count("{}") == 1 for template in paper.templates)


@pytest.mark.skipif(not PROMPTS.exists(), reason="CLIP's prompts file is not here")
@pytest.mark.parametrize(
    "name",
    [
        "country211",
        "dtd",
        "flowers102",
        "food101",
        "gtsrb",
        "mnist",
        "oxford_pets",
        "resisc45",
        "sun397",
        "voc2007",
    ],
)
def test_our_own_names_stand_where_the_papers_do(name: str, tmp_path: Path) -> None:
    TREES[name](tmp_path)
    paper = [str(words) for words in read_prompts(PROMPTS, DATASETS[name].section).classes]
    places = [paper.index(str(words)) for words in DATASETS[name].classes(tmp_path)]
    assert places == sorted(places)


@pytest.mark.skipif(not PROMPTS.exists(), reason="CLIP's prompts file is not here")
def test_a_class_of_the_paper_may_have_synonyms(tmp_path: Path) -> None:
    TREES["fer2013"](tmp_path)
    opened = open_dataset("fer2013", tmp_path, prompts=PROMPTS)
    assert opened.synonyms[3] == ("happy", "smiling")
    assert (opened.class_names[3], len(opened.templates)) == ("happy", 6)


def test_prompts_are_read_as_lists_and_never_run(tmp_path: Path) -> None:
    file = tmp_path / "prompts.md"
    file.write_text("## A\nclasses = [\n 'x',\n]\ntemplates = [\n exit(),\n]\n")
    with pytest.raises(ValueError, match="section A: templates is no list of names"):
        read_prompts(file, "A")
    with pytest.raises(ValueError, match="has no section 'B'"):
        read_prompts(file, "B")
    with pytest.raises(ValueError, match="no prompts at"):
        read_prompts(tmp_path / "none.md", "A")


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    pixels = np.stack([np.full(3072, grey("test", n), np.uint8) for n in range(3)])
    put(folder / "test_batch", pickle.dumps({b"data": pixels, b"labels": [0, 1, 2]}, protocol=2))
    assert [level(data) for _, data, _ in open_dataset("cifar10", tmp_path)] == [
        grey("test", n) for n in range(3)
    ]
    put(folder / "test_batch", pickle.dumps(print))
    with pytest.raises(ValueError, match=r"names builtins\.print"):
        list(open_dataset("cifar10", tmp_path))


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_may_be_webdataset_tars(name: str, tmp_path: Path) -> None:
    make_tar(tmp_path / "0.tar", [{"jpg": picture("test", 0), "cls": b"1"}])
    if not DATASETS[name].named_by_us:
        with pytest.raises(ValueError, match=r"have numbers for classes. Next: put classnames.txt beside"):
            open_dataset(name, tmp_path)
        put(tmp_path / "classnames.txt", "".join(f"n{n}\n" for n in range(DATASETS[name].num_classes)))
    opened = open_dataset(name, tmp_path)
    assert len(opened.class_names) == DATASETS[name].num_classes
    assert [label for _, _, label in opened] == [2 if name == "voc2007" else 1]


def test_webdataset_tars_hold_any_of_them(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    make_tar(tmp_path / "test" / "0.tar", [{"jpg": picture("test", n), "cls": b"%d" % n} for n in range(3)])
    opened = open_dataset("mnist", tmp_path)
    assert [(level(data) - grey("test", label)) // 3 for _, data, label in opened] == [0, 0, 0]
    put(tmp_path / "classnames.txt", "".join(f"class {n}\n" for n in range(10)))
    put(tmp_path / "zeroshot_classification_templates.txt", "see {c}\n")
    opened = open_dataset("mnist", tmp_path)
    assert (opened.class_names[9], opened.templates) == ("class 9", ("see {}",))
    make_tar(tmp_path / "test" / "0.tar", [{"jpg": picture("test", 0), "cls": b"10"}])
    with pytest.raises(ValueError, match="with a number below 10"):
        list(open_dataset("mnist", tmp_path))


def test_a_webdataset_of_several_classes_a_picture_lists_their_numbers(tmp_path: Path) -> None:
    make_tar(tmp_path / "0.tar", [{"jpg": picture("test", 0), "cls": b"0, 19"}])
    assert [label for _, _, label in open_dataset("voc2007", tmp_path)] == [pack_label([0, 19], [], 20)]


def test_a_difficult_object_of_voc_does_not_count(tmp_path: Path) -> None:
    TREES["voc2007"](tmp_path)
    assert next(iter(open_dataset("voc2007", tmp_path)))[2] == pack_label([0], [3], 20)


def test_splits_and_folds_that_there_are_none_of_are_refused(tmp_path: Path) -> None:
    for name, split, fold, message in [
        ("flowers", "test", 1, "unknown dataset 'flowers', known: birdsnap"),
        ("mnist", "val", 1, "mnist has no split 'val', known: train, test"),
        ("ucf101", "test", 4, "ucf101 has 3 folds of its test split, not fold 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            open_dataset(name, tmp_path, split, fold=fold)


def test_given_names_must_be_as_many_as_the_classes(tmp_path: Path) -> None:
    TREES["mnist"](tmp_path)
    assert open_dataset("mnist", tmp_path, class_names=list("abcdefghij")).class_names[0] == "a"
    with pytest.raises(ValueError, match="3 class names for the 10 classes of mnist"):
        open_dataset("mnist", tmp_path, class_names=list("abc"))


def test_drawn_splits_are_disjoint_and_the_same_anywhere(tmp_path: Path) -> None:
    for name in ("caltech101", "eurosat", "resisc45"):
        both: list[dict[str, list[str]]] = [{}, {}]
        for place, found in zip((tmp_path / "here", tmp_path / "there"), both, strict=True):
            TREES[name](place / name)
            for split in ("train", "test"):
                found[split] = [
                    key.removeprefix(str(place)) for key, _, _ in open_dataset(name, place / name, split)
                ]
        assert both[0] == both[1]
        assert not set(both[0]["train"]) & set(both[0]["test"])
    assert chosen(["b", "a", "c"], 2) == chosen(["c", "b", "a"], 2)


def test_kitti_tests_on_a_tenth_of_the_drives(tmp_path: Path) -> None:
    TREES["kitti_distance"](tmp_path)
    testing = kitti_test_pictures(tmp_path)
    drawn = np.random.RandomState(123).choice([f"drive_{n}" for n in range(10)], 1, replace=False)
    assert testing == {int(drawn[0].removeprefix("drive_"))}


def test_a_video_without_frames_is_a_bad_picture(tmp_path: Path) -> None:
    pytest.importorskip("av")
    put(tmp_path / "broken.mp4", video("test", 0)[:40])
    assert middle_frame(tmp_path / "broken.mp4") == b""


def test_imagenet_is_read_from_the_development_kit_too(tmp_path: Path) -> None:
    from scipy.io import savemat

    kit = tmp_path / "ILSVRC2012_devkit_t12" / "data"
    rows = [(1, "n02", "second, x"), (2, "n01", "first, y"), (1001, "n00", "inner node")]
    put(kit / "ILSVRC2012_validation_ground_truth.txt", "1\n2\n")
    types = [("ILSVRC2012_ID", np.int16), ("WNID", object), ("words", object)]
    savemat(kit / "meta.mat", {"synsets": np.array(rows, types)})
    for number, label in enumerate([1, 0]):
        put(tmp_path / "ILSVRC2012_img_val" / f"{number}.JPEG", picture("test", label))
    opened = open_dataset("imagenet", tmp_path)
    assert opened.class_names == ("first", "second")
    assert [label for _, _, label in opened] == [1, 0]


@pytest.mark.skipif(not REAL.exists(), reason="the real CIFAR-10 and MNIST are not here")
def test_the_real_cifar10_and_mnist_are_read(tmp_path: Path) -> None:
    with tarfile.open(REAL / "cifar10" / "cifar10_jpeg.tar.xz") as tar:
        tar.extractall(tmp_path, itertools.islice(tar, 50), filter="data")  # it begins with airplanes
    for name in DATASETS["cifar10"].classes(tmp_path):
        (tmp_path / "train" / str(name)).mkdir(exist_ok=True)
    airplanes = list(open_dataset("cifar10", tmp_path, "train"))
    assert {label for _, _, label in airplanes} == {0}
    assert {Image.open(io.BytesIO(data)).size for _, data, _ in airplanes} == {(32, 32)}
    digits = itertools.islice(open_dataset("mnist", REAL / "mnist"), 10)
    assert [label for _, _, label in digits] == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
