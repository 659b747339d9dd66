"""A tiny tree of every published dataset, in its authors' layout: a few pictures of three classes or so.

A picture of class c of a split has the grey level that `grey(split, c)` returns, so that a test can tell that
a label and a split are those of the picture.
"""

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from train.evals.datasets.folders import EUROSAT
from train.evals.datasets.lists import VOC2007

SPLITS = ("train", "val", "test")


def grey(split: str, label: int) -> int:
    """Return the level of the pictures of a class of a split, far enough apart to survive a JPEG."""
    return 10 + 80 * SPLITS.index(split) + 6 * label


def picture(split: str, label: int, kind: str = "JPEG", side_px: int = 16) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side_px, side_px), (grey(split, label),) * 3).save(buffer, kind)
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def birdsnap(root: Path) -> None:
    names = ["Acadian_Flycatcher", "Acorn_Woodpecker", "Allens_Hummingbird"]
    species = "".join(f"{n + 1}\tx\ty\t{name}\n" for n, name in enumerate(names))
    put(root / "species.txt", "id\tcommon\tscientific\tdir\n" + species)
    rows = [(f"{name}/{split}.jpg", split, n) for n, name in enumerate(names) for split in ("train", "test")]
    listed = "".join(f"http://x\t0\t{path}\t{n + 1}\n" for path, _, n in rows)
    put(root / "images.txt", f"url\tmd5\tpath\tspecies_id\n{listed}http://x\t0\tgone/gone.jpg\t1\n")
    put(
        root / "test_images.txt",
        "path\n" + "".join(f"{path}\n" for path, split, _ in rows if split == "test"),
    )
    for path, split, n in rows:
        put(root / "download" / "images" / path, picture(split, n))


def caltech101(root: Path) -> None:
    for n, name in enumerate(["BACKGROUND_Google", "Faces", "accordion"]):
        for number in range(32):
            put(root / "101_ObjectCategories" / name / f"image_{number:04d}.jpg", picture("test", n))


def cars(root: Path) -> None:
    put(root / "devkit" / "x", "")
    names = np.array(["AM General Hummer SUV 2000", "Acura RL Sedan 2012", "Acura TL Sedan 2012"], object)
    savemat(root / "devkit" / "cars_meta.mat", {"class_names": names})
    for split, place in (
        ("train", "devkit/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        rows = [(f"{n:05d}.jpg", n + 1) for n in range(3)]
        savemat(root / place, {"annotations": np.array(rows, [("fname", object), ("class", np.uint8)])})
        for n in range(3):
            put(root / f"cars_{split}" / f"{n:05d}.jpg", picture(split, n))


def cifar10(root: Path) -> None:
    for split, name in (("train", "data_batch_1"), ("test", "test_batch")):
        put(root / "cifar-10-batches-bin" / f"{name}.bin", _records(split, labels=1))


def cifar100(root: Path) -> None:
    for split in ("train", "test"):
        put(root / "cifar-100-binary" / f"{split}.bin", _records(split, labels=2))
    put(root / "cifar-100-binary" / "fine_label_names.txt", "apple\naquarium_fish\nbaby\n")


def clevr_counts(root: Path) -> None:
    for split, part in (("train", "train"), ("test", "val")):
        counts = [10, 3, 4]
        scenes = [
            {"image_filename": f"CLEVR_{part}_{n:06d}.png", "objects": [{}] * count}
            for n, count in enumerate(counts)
        ]
        put(root / f"CLEVR_v1.0/scenes/CLEVR_{part}_scenes.json", json.dumps({"scenes": scenes}))
        for n, scene in enumerate(scenes):
            put(root / "CLEVR_v1.0/images" / part / f"{scene['image_filename']}", picture(split, n, "PNG"))


def country211(root: Path) -> None:
    _folders(root / "country211", ["AD", "AE", "AF"], {"train": "train", "val": "valid", "test": "test"})


def dtd(root: Path) -> None:
    for split in SPLITS:
        names = [f"{name}/{name}_{split}.jpg" for name in ("banded", "blotchy", "braided")]
        put(root / "dtd" / "labels" / f"{split}1.txt", "\n".join(names) + "\n")
        for n, name in enumerate(names):
            put(root / "dtd" / "images" / name, picture(split, n))


def eurosat(root: Path) -> None:
    for n, name in enumerate(EUROSAT):
        for number in range(6):
            put(root / "2750" / name / f"{name}_{number}.jpg", picture("test", n))


def fer2013(root: Path) -> None:
    usages = {"train": "Training", "val": "PublicTest", "test": "PrivateTest"}
    rows = [
        f"{n},{' '.join([str(grey(split, n))] * 2304)},{usage}\n"
        for split, usage in usages.items()
        for n in range(3)
    ]
    put(root / "fer2013.csv", "emotion,pixels,Usage\n" + "".join(rows))


def fgvc_aircraft(root: Path) -> None:
    data, variants = root / "fgvc-aircraft-2013b" / "data", ["707-320", "BAE 146-200", "F/A-18"]
    put(data / "variants.txt", "\n".join(variants) + "\n")
    for at, split in enumerate(SPLITS):
        lines = [f"{at}{n}23456 {variant}\n" for n, variant in enumerate(variants)]
        put(data / f"images_variant_{split}.txt", "".join(lines))
        for n in range(3):
            put(data / "images" / f"{at}{n}23456.jpg", picture(split, n))


def flowers102(root: Path) -> None:
    ids = {"train": [1, 2, 3], "val": [4, 5, 6], "test": [7, 8, 9]}
    for split, numbers in ids.items():
        for n, number in enumerate(numbers):
            put(root / "jpg" / f"image_{number:05d}.jpg", picture(split, n))
    savemat(root / "setid.mat", {"trnid": [ids["train"]], "valid": [ids["val"]], "tstid": [ids["test"]]})
    savemat(root / "imagelabels.mat", {"labels": [[1, 2, 3] * 3]})


def food101(root: Path) -> None:
    names = ["apple_pie", "baby_back_ribs", "baklava"]
    put(root / "food-101" / "meta" / "classes.txt", "\n".join(names))
    for number, split in enumerate(("train", "test")):
        put(root / f"food-101/meta/{split}.txt", "".join(f"{name}/{number}\n" for name in names))
        for n, name in enumerate(names):
            put(root / "food-101" / "images" / name / f"{number}.jpg", picture(split, n))


def gtsrb(root: Path) -> None:
    head = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId\n"
    for n in range(3):
        folder = root / "GTSRB" / "Final_Training" / "Images" / f"{n:05d}"
        put(folder / f"GT-{n:05d}.csv", f"{head}00000_00000.ppm;16;16;0;0;9;9;{n}\n")
        put(folder / "00000_00000.ppm", picture("train", n, "PPM"))
        put(root / "GTSRB" / "Final_Test" / "Images" / f"{n:05d}.ppm", picture("test", n, "PPM"))
    put(root / "GT-final_test.csv", head + "".join(f"{n:05d}.ppm;16;16;0;0;9;9;{n}\n" for n in range(3)))


def hateful_memes(root: Path) -> None:
    for split, name in (("train", "train"), ("test", "dev_seen")):
        rows = [{"id": n, "img": f"img/{split}{n}.png", "label": n, "text": "x"} for n in range(2)]
        put(root / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        for n in range(2):
            put(root / "img" / f"{split}{n}.png", picture(split, n, "PNG"))


def imagenet(root: Path) -> None:
    names = ["n01440764", "n01443537", "n01484850"]
    put(root / "LOC_synset_mapping.txt", "".join(f"{name} fish{n}, other\n" for n, name in enumerate(names)))
    for split, part in (("train", "train"), ("test", "val")):
        for n, name in enumerate(names):
            put(root / part / name / "ILSVRC2012_1.JPEG", picture(split, n))


def kitti_distance(root: Path) -> None:
    """Ten drives of a picture each, one of them for testing; the fourth class has no vehicle."""
    depths = [5.0, 15.0, 50.0, None] * 2 + [7.9, 8.1]
    put(root / "mapping" / "train_rand.txt", ",".join(str(n + 1) for n in range(10)))
    put(root / "mapping" / "train_mapping.txt", "".join(f"2011 drive_{n} 0\n" for n in range(10)))
    for n, depth in enumerate(depths):
        person = "Pedestrian 0 0 0 0 0 0 0 1 1 1 0 0 1.0 0\n"
        car = f"Car 0.0 0 0 0 0 0 0 1 1 1 0.5 1.0 {depth} 0.1\n" if depth else ""
        put(root / "training" / "label_2" / f"{n:06d}.txt", person + car)
        label = 3 if depth is None else sum(depth > limit for limit in (8, 20))
        put(root / "training" / "image_2" / f"{n:06d}.png", picture("test", label, "PNG"))


def kinetics700(root: Path) -> None:
    for split, part in (("train", "train"), ("test", "val")):
        names = ["abseiling", "acting in play", "applauding"]
        rows = [f"{name},id_{n},1,11,{part}\n" for n, name in enumerate(names)]
        head = "label,youtube_id,time_start,time_end,split\n"
        put(root / "annotations" / f"{part}.csv", f"{head}{''.join(rows)}abseiling,gone,1,11,{part}\n")
        for n in range(3):
            put(root / part / f"id_{n}_000001_000011.mp4", video(split, n))


def mnist(root: Path) -> None:
    for split, stem in (("train", "train"), ("test", "t10k")):
        pixels = np.stack([np.full((28, 28), grey(split, n), np.uint8) for n in range(3)])
        for kind, array in (("images-idx3", pixels), ("labels-idx1", np.arange(3, dtype=np.uint8))):
            head = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
            put(root / f"{stem}-{kind}-ubyte.gz", gzip.compress(head + array.tobytes()))


def oxford_pets(root: Path) -> None:
    names = ["Abyssinian", "Egyptian_Mau", "american_bulldog"]
    for number, (split, part) in enumerate((("train", "trainval"), ("test", "test"))):
        lines = [f"{name}_{number} {n} 1 1\n" for n, name in enumerate(names)]
        put(root / "annotations" / f"{part}.txt", "#Image CLASS-ID\n" + "".join(lines[::-1]))
        for n, name in enumerate(names):
            put(root / "images" / f"{name}_{number}.jpg", picture(split, n))


def patch_camelyon(root: Path) -> None:
    import h5py

    for split, part in (("train", "train"), ("val", "valid"), ("test", "test")):
        stem = f"camelyonpatch_level_2_split_{part}"
        pixels = np.stack([np.full((96, 96, 3), grey(split, n), np.uint8) for n in range(2)])
        for axis, array in (("x", pixels), ("y", np.arange(2, dtype=np.uint8).reshape(2, 1, 1, 1))):
            with h5py.File(root / f"{stem}_{axis}.h5", "w") as file:
                file[axis] = array


def rendered_sst2(root: Path) -> None:
    places = {"train": "train", "val": "valid", "test": "test"}
    _folders(root / "rendered-sst2", ["negative", "positive"], places)


def resisc45(root: Path) -> None:
    for n, name in enumerate(["airplane", "airport", "baseball_diamond"]):
        for number in range(20):
            put(root / "NWPU-RESISC45" / name / f"{name}_{number:03d}.jpg", picture("test", n))


def stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    put(folder / "class_names.txt", "airplane\nbird\ncar\n")
    put(folder / "fold_indices.txt", "".join(f"{n % 3} {(n + 1) % 3}\n" for n in range(10)))
    for split in ("train", "test"):
        pixels = np.stack([np.full((3, 96, 96), grey(split, n), np.uint8) for n in range(3)])
        put(folder / f"{split}_X.bin", pixels.tobytes())
        put(folder / f"{split}_y.bin", bytes([1, 2, 3]))


def sun397(root: Path) -> None:
    names = ["/a/abbey", "/a/apartment_building/outdoor", "/y/youth_hostel"]
    put(root / "ClassName.txt", "\n".join(names))
    for split, part in (("train", "Training"), ("test", "Testing")):
        put(root / f"{part}_01.txt", "".join(f"{name}/sun_{split}.jpg\n" for name in names))
        for n, name in enumerate(names):
            put(root / "SUN397" / name[1:] / f"sun_{split}.jpg", picture(split, n))


def ucf101(root: Path) -> None:
    names = ["ApplyEyeMakeup", "Archery", "YoYo"]
    put(root / "ucfTrainTestlist/classInd.txt", "".join(f"{n + 1} {x}\n" for n, x in enumerate(names)))
    for split in ("train", "test"):
        for fold in (1, 2, 3):
            ends = [f" {n + 1}" if split == "train" else "" for n in range(3)]
            paths = [f"{x}/v_{x}_{split}.avi{end}\n" for x, end in zip(names, ends, strict=True)]
            put(root / f"ucfTrainTestlist/{split}list0{fold}.txt", "".join(paths[:fold]))
        for n, name in enumerate(names):
            put(root / "UCF-101" / name / f"v_{name}_{split}.avi", video(split, n, "avi"))


def voc2007(root: Path) -> None:
    voc = root / "VOCdevkit" / "VOC2007"
    for split, part in (("train", "trainval"), ("test", "test")):
        for number, name in enumerate(VOC2007):
            verdicts = [" 1" if n == number else " 0" if number == 3 and n == 0 else "-1" for n in range(3)]
            rows = [f"{split}{n} {verdict}\n" for n, verdict in enumerate(verdicts)]
            put(voc / "ImageSets" / "Main" / f"{name}_{part}.txt", "".join(rows))
        for n in range(3):
            put(voc / "JPEGImages" / f"{split}{n}.jpg", picture(split, n))


def video(split: str, label: int, kind: str = "mp4") -> bytes:
    """Return 5 frames, of which the middle one has the class's grey and the others none."""
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format=kind) as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.width = stream.height = 64
        for number in range(5):
            level = grey(split, label) if number == 2 else 255
            pixels = np.full((64, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _folders(root: Path, names: list[str], places: dict[str, str]) -> None:
    for split, place in places.items():
        for n, name in enumerate(names):
            put(root / place / name / "0.png", picture(split, n, "PNG"))


def _records(split: str, labels: int) -> bytes:
    rows = [bytes([n] * labels) + bytes([grey(split, n)]) * 3072 for n in range(3)]
    return b"".join(rows)


TREES: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (
        *(birdsnap, caltech101, cars, cifar10, cifar100, clevr_counts, country211, dtd, eurosat, fer2013),
        *(fgvc_aircraft, flowers102, food101, gtsrb, hateful_memes, imagenet, kinetics700, kitti_distance),
        *(mnist, oxford_pets, patch_camelyon, rendered_sst2, resisc45, stl10, sun397, ucf101, voc2007),
    )
}
