import json
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from manifests.store import open_dataset
from tests.fakes import make_dataset, make_picture
from tests.processes import run_together
from tests.tiny_train import tiny_config
from train.__main__ import main
from train.distributed import processes
from train.evals import features as module
from train.evals.feature_files import NO_LABEL, Features
from train.evals.features import cache_key, features_of
from train.evals.pictures import FolderPictures, PairPictures, open_pictures
from train.loop import fit
from train.models.clip import ClipVit
from train.models.resnet import ClipResNet
from train.trained import TrainedModel, load_trained
from train.transforms import evaluation_pixels

NAMES = ("together", "alone")


@dataclass
class Listed:
    """Pictures from a list, which can break off as a killed process does."""

    data: list[bytes]
    name: str = "listed"
    breaks_at: int | None = None

    def __iter__(self) -> Iterator[tuple[str, bytes, int | None]]:
        for number, data in enumerate(self.data):
            if number == self.breaks_at:
                raise OSError("killed")
            yield f"picture {number}", data, number % 3

    def identity(self) -> str:
        return self.name


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    root = tmp_path_factory.mktemp("trained")
    return load_trained(fit(tiny_config(num_epochs=1), make_dataset(root / "data"), root / "run"))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PART_PICTURES", 4)


def pictures(num: int = 10) -> Listed:
    return Listed([make_picture(number) for number in range(num)])


def equal(one: Features, other: Features) -> bool:
    names = ("image", "hidden", "labels")
    same = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return same and one.keys.equals(other.keys) and one.bad_pictures == other.bad_pictures


@pytest.mark.usefixtures("small_parts")
def test_features_equal_the_model_picture_by_picture(trained: TrainedModel) -> None:
    found = features_of(trained, pictures(), None, batch_size=3)
    for number in range(10):
        pixels = evaluation_pixels(make_picture(number), 16)
        image, hidden = trained.both_features([pixels])
        assert torch.allclose(torch.tensor(found.image[number]), image[0], atol=1e-6)
        assert torch.allclose(torch.tensor(found.hidden[number]), hidden[0], atol=1e-5)
        assert torch.equal(image, trained.image_features([pixels]))
        assert (found.labels[number], found.keys[number].as_py()) == (number % 3, f"picture {number}")


@pytest.mark.usefixtures("small_parts")
def test_what_is_kept_is_to_the_bit_what_a_pass_gives(trained: TrainedModel, tmp_path: Path) -> None:
    again = Listed([], breaks_at=0)  # of the same identity, but nothing can be read
    passed, kept = features_of(trained, pictures(), None), features_of(trained, pictures(), tmp_path)
    assert equal(passed, kept)
    assert equal(kept, features_of(trained, again, tmp_path))
    assert isinstance(kept.image, np.memmap)
    assert isinstance(kept.hidden, np.memmap)
    (folder,) = tmp_path.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == [
        "about.json",
        "features.safetensors",
        "keys.parquet",
    ]


def test_the_file_is_a_safetensors_file_for_its_own_reader(trained: TrainedModel, tmp_path: Path) -> None:
    kept = features_of(trained, pictures(), tmp_path)
    (path,) = tmp_path.rglob("*.safetensors")
    theirs = load_file(path)
    assert set(theirs) == {"image", "hidden", "labels"}
    assert all(np.array_equal(value, getattr(kept, name)) for name, value in theirs.items())


@pytest.mark.usefixtures("small_parts")
def test_a_pass_cut_short_goes_on_from_its_last_whole_part(trained: TrainedModel, tmp_path: Path) -> None:
    expected = features_of(trained, pictures(), None)
    with pytest.raises(OSError, match="killed"):
        features_of(trained, replace(pictures(), breaks_at=9), tmp_path)
    assert len(list(tmp_path.rglob("parts/*"))) >= 1
    rest = pictures()
    rest.data[:4] = [b"is not decoded again"] * 4
    assert equal(features_of(trained, rest, tmp_path), expected)


@pytest.mark.usefixtures("small_parts")
def test_bad_pictures_are_named_and_left_out(trained: TrainedModel, tmp_path: Path) -> None:
    some = pictures()
    some.data[4:8] = [b"no picture"] * 4  # all of a part
    some.data[9] = make_picture(9)[:300]
    found = features_of(trained, some, tmp_path)
    assert found.keys.to_pylist() == [f"picture {number}" for number in (0, 1, 2, 3, 8)]
    assert [bad[:11] for bad in found.bad_pictures] == [f"picture {n}: " for n in (4, 5, 6, 7, 9)]
    assert equal(found, features_of(trained, some, None))


@pytest.mark.parametrize("data", [[], [b"no picture"]], ids=["none", "bad"])
def test_no_picture_at_all_is_refused(trained: TrainedModel, tmp_path: Path, data: list[bytes]) -> None:
    for cache in (None, tmp_path, tmp_path):  # the second time from what is kept
        with pytest.raises(ValueError, match="none of the pictures could be read"):
            features_of(trained, Listed(data), cache)


def test_another_checkpoint_picture_or_size_has_another_key(trained: TrainedModel, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(make_picture(0))
    folder = FolderPictures(tmp_path)
    first = cache_key(trained, folder)
    others = [
        cache_key(replace(trained, fingerprint="another"), folder),
        cache_key(replace(trained, image_side_px=32), folder),
    ]
    (tmp_path / "a.jpg").write_bytes(make_picture(1))
    others.append(cache_key(trained, folder))
    (tmp_path / "b.jpg").write_bytes(make_picture(1))
    others.append(cache_key(trained, folder))
    assert len({first["key"], *(other["key"] for other in others)}) == 5


def test_datasets_of_ours_and_folders_come_without_labels(trained: TrainedModel, tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "data")
    dataset = open_pictures(root)
    assert isinstance(dataset, PairPictures)
    found = features_of(trained, dataset, None)
    keys = [key for shard in open_dataset(root).manifest.shards for key in _keys(root, shard.index.path)]
    assert found.keys.to_pylist() == keys
    assert set(found.labels) == {NO_LABEL}
    (tmp_path / "plain" / "deep").mkdir(parents=True)
    (tmp_path / "plain" / "deep" / "a.PNG").write_bytes(make_picture(3))
    (tmp_path / "plain" / "notes.txt").write_text("no picture")
    assert [key for key, _, _ in open_pictures(tmp_path / "plain")] == ["deep/a.PNG"]


def _keys(root: Path, index: str) -> list[str]:
    (shard,) = [s for s in open_dataset(root).manifest.shards if s.index.path == index]
    keys: list[str] = open_dataset(root).read_index(shard, ["key"]).column("key").to_pylist()
    return keys


def test_both_towers_give_features_before_their_projection() -> None:
    pixels = torch.randn(2, 3, 32, 32)
    vit = replace(ClipVit.tiny(), image_side_px=32).build(vocab_size=10)
    image, hidden = vit.encode_image_twice(pixels)
    assert torch.equal(image, vit.encode_image(pixels))
    assert torch.equal(hidden @ vit.state_dict()["visual.proj"], image)
    resnet = ClipResNet.tiny().build(vocab_size=10).eval()
    image, hidden = resnet.encode_image_twice(pixels)
    assert torch.equal(image, hidden)
    assert torch.equal(image, resnet.encode_image(pixels))


def test_large_pictures_do_not_fill_the_memory(
    trained: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PART_BYTES", 4 << 20)
    large = (number.to_bytes() + bytes(1 << 20) for number in range(64))  # made as they are asked for

    class Large(Listed):
        def __iter__(self) -> Iterator[tuple[str, bytes, int | None]]:
            return ((f"{number}", make_picture(0) + data, 0) for number, data in enumerate(large))

    tracemalloc.start()
    found = features_of(trained, Large([]), tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == 64
    assert peak < 20 << 20


def _pass_together(run: Path, cache: Path) -> None:
    module.MAX_PART_PICTURES = 4
    model = load_trained(run)
    with processes(torch.device("cpu")):
        kept, passed = features_of(model, pictures(), cache), features_of(model, pictures(), None)
    assert equal(kept, passed)
    assert _evaluate(run, cache.parent / "pictures", "together") == 0


def _evaluate(run: Path, data: Path, name: str) -> int:
    return main(["eval", "zero_shot", "--run", str(run), "--data", str(data), "--name", name])


@pytest.mark.usefixtures("small_parts")
def test_several_processes_keep_and_measure_what_one_does(tmp_path: Path) -> None:
    run = fit(tiny_config(num_epochs=1), make_dataset(tmp_path / "data"), tmp_path / "run")
    for number in range(10):
        (tmp_path / "pictures" / f"{number % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / f"{number % 2}" / f"{number}.jpg").write_bytes(make_picture(number))
    run_together(2, _pass_together, run, tmp_path / "cache")
    (run / "features").rename(tmp_path / "of two")
    assert _evaluate(run, tmp_path / "pictures", "alone") == 0
    results = [json.loads((run / "evals" / f"zero_shot-{name}.json").read_bytes()) for name in NAMES]
    assert results[0]["confusion"] == results[1]["confusion"]
    model = load_trained(run)
    kept = features_of(model, Listed([], breaks_at=0), tmp_path / "cache")
    assert equal(kept, features_of(model, pictures(), None))
