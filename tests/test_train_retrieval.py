import io
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from manifests.store import open_dataset
from tests.fakes import make_caption, make_dataset, make_picture
from tests.tiny_train import tiny_config
from train.evals import recall
from train.evals.recall import TIE, Ranks, ranks
from train.evals.retrieval import Retrieval
from train.loop import fit
from train.trained import TrainedModel, load_trained
from train.transforms import evaluation_pixels

Numbers = NDArray[np.float32]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    root = tmp_path_factory.mktemp("trained")
    return load_trained(fit(tiny_config(), make_dataset(root / "data"), root / "run"))


def slow_ranks(images: Numbers, texts: Numbers, of: NDArray[np.int64]) -> Ranks:
    """The whole matrix at once, and a picture and a caption at a time."""
    unit = [part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (images, texts)]
    cosines = unit[0].astype(np.float64) @ unit[1].astype(np.float64).T
    to_text, to_image = [], []
    for text, image in enumerate(of):
        others = np.delete(cosines[:, text], image)
        to_image.append(1 + np.sum(others >= cosines[image, text] - TIE))
    for image in np.unique(of):
        best = cosines[image, of == image].max()
        to_text.append(1 + np.sum(cosines[image, of != image] >= best - TIE))
    return Ranks(image_to_text=np.array(to_text), text_to_image=np.array(to_image))


def same(found: Ranks, expected: Ranks) -> bool:
    pairs = [(found.image_to_text, expected.image_to_text), (found.text_to_image, expected.text_to_image)]
    return all(np.array_equal(one, other) for one, other in pairs)


def alike(num_pictures: int, num_captions: int, width: int) -> tuple[Numbers, Numbers, NDArray[np.int64]]:
    """Features of pictures, and of captions that are like their pictures; some pictures have none."""
    rng = np.random.default_rng(num_pictures)
    images = rng.standard_normal((num_pictures, width), np.float32)
    of = rng.integers(num_pictures, size=num_captions)
    texts = 0.2 * images[of] + rng.standard_normal((num_captions, width), np.float32)
    return images, texts, of


def test_ranks_equal_those_of_the_full_matrix_of_5000_by_10000() -> None:
    images, texts, of = alike(5_000, 10_000, 64)
    found, expected = ranks(images, texts, of), slow_ranks(images, texts, of)
    assert found.recalls() == expected.recalls()
    assert 0.01 < found.recalls()["text_to_image"]["recall_at_1"] < 0.99
    assert np.abs(found.text_to_image - expected.text_to_image).max() <= 1  # a rounding at the limit of TIE
    assert np.abs(found.image_to_text - expected.image_to_text).max() <= 1


@pytest.mark.parametrize("width", [1, 4, 16])
def test_ties_are_counted_against_as_in_the_full_matrix(width: int) -> None:
    rng = np.random.default_rng(width)
    # Signs alone: few directions, and every product is exact.
    images = rng.choice([-1.0, 1.0], (300, width)).astype(np.float32)
    texts = rng.choice([-1.0, 1.0], (900, width)).astype(np.float32)
    of = rng.integers(300, size=900)
    assert same(ranks(images, texts, of), slow_ranks(images, texts, of))


def test_a_model_that_gives_all_the_same_features_is_last() -> None:
    found = ranks(np.ones((50, 8)), np.ones((100, 8)), np.arange(100) // 2)
    assert (found.text_to_image == 50).all()
    assert (found.image_to_text == 99).all()  # its own other caption is not against it


def test_one_pair_is_found_and_zeros_are_like_nothing() -> None:
    one = ranks(np.ones((1, 3)), np.ones((1, 3)), np.zeros(1, np.int64))
    assert (one.image_to_text.tolist(), one.text_to_image.tolist()) == ([1], [1])
    assert one.recalls()["image_to_text"] == {f"recall_at_{k}": 1 for k in (1, 5, 10)} | {"median_rank": 1}
    images, texts, of = alike(20, 40, 4)
    images[3] = 0
    assert same(ranks(images, texts, of), slow_ranks(images, texts, of))


def test_tiles_of_any_size_give_the_same_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    images, texts, of = alike(97, 211, 8)
    whole = ranks(images, texts, of)
    for name, size in (("CHUNK_PICTURES", 10), ("TILE_PICTURES", 3), ("TILE_CAPTIONS", 7)):
        monkeypatch.setattr(recall, name, size)
        assert same(ranks(images, texts, of), whole)


def test_memory_mapped_halves_and_tensors_are_taken_as_they_are(tmp_path: Path) -> None:
    images, texts, of = alike(40, 80, 8)
    halves = images.astype(np.float16)
    np.save(tmp_path / "images.npy", halves)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    expected = slow_ranks(halves.astype(np.float32), texts, of)
    assert same(ranks(mapped, texts, of), expected)
    assert same(ranks(torch.from_numpy(halves), torch.from_numpy(texts), of), expected)


@pytest.mark.parametrize(
    ("images", "texts", "of", "message"),
    [
        (np.array([[1, 2], [np.nan, 1]]), np.ones((1, 2)), [0], "features of picture 1 are nan or infinite"),
        (np.ones((1, 2)), np.array([[1, np.inf]]), [0], "features of caption 0 are nan or infinite"),
        (np.ones((1, 2)), np.ones((1, 3)), [0], r"are \(1, 2\) and of captions \(1, 3\)"),
        (np.ones((1, 2)), np.ones((2, 2)), [0], "names 1 pictures, must be one for each of 2"),
        (np.ones((1, 2)), np.ones((1, 2)), [1], r"from 1 to 1, must be in \[0, 1\)"),
        (np.ones((0, 2)), np.ones((0, 2)), [], "0 pictures and 0 captions"),
    ],
)
def test_features_that_cannot_be_compared_are_refused(
    images: Numbers, texts: Numbers, of: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message + r".* Next: "):
        ranks(images, texts, np.array(of, np.int64))


def test_retrieval_equals_the_slow_obvious_version(trained: TrainedModel, tmp_path: Path) -> None:
    data = make_dataset(
        tmp_path, num_pairs=24, pairs_per_shard=7, overrides={"extra_captions": ["a drawing"]}
    )
    dataset = open_dataset(data)
    images: list[Tensor] = []
    texts: list[Tensor] = []
    of: list[int] = []
    for shard in dataset.manifest.shards:
        for row in dataset.read_index(shard).to_pylist():
            for caption in (row["caption"], "a drawing"):
                texts.append(trained.text_features([f"a photo of {caption}"])[0])
                of.append(len(images))
            pixels = evaluation_pixels(dataset.read_picture(shard, row), trained.image_side_px)
            images.append(trained.image_features([pixels])[0])
    expected = slow_ranks(torch.stack(images).numpy(), torch.stack(texts).numpy(), np.array(of)).recalls()
    request = Retrieval(run=tmp_path, data=data, name="shapes", prompt_prefix="a photo of", batch_size=5)
    result = request.evaluate(trained)
    assert result | expected == result
    assert (result["num_pictures"], result["num_captions"]) == (24, 48)
    assert request.summary(result).endswith("% of 24 pictures")


def test_plain_tars_have_a_caption_in_each_line(trained: TrainedModel, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for number in range(3):
            captions = f"{make_caption(number)}\nanother {number}\n".encode()
            for suffix, data in (("jpg", make_picture(number)), ("txt", captions)):
                member = tarfile.TarInfo(f"{number}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    result = Retrieval(run=tmp_path, data=tmp_path, name="tars").evaluate(trained)
    assert (result["num_pictures"], result["num_captions"]) == (3, 6)


def test_a_share_is_the_same_pictures_each_time(trained: TrainedModel, tmp_path: Path) -> None:
    data = make_dataset(tmp_path / "data", num_pairs=40)
    request = Retrieval(run=tmp_path / "one", data=data, name="n", share=0.5)
    found = [each.evaluate(trained) for each in (request, replace(request, run=tmp_path / "other"), request)]
    assert found[0] == found[1] == found[2]
    assert 10 < found[0]["num_pictures"] < 30


def test_a_broken_picture_is_named_and_left_out_with_its_captions(
    trained: TrainedModel, tmp_path: Path
) -> None:
    pictures = [make_picture(number) for number in range(8)]
    data = make_dataset(tmp_path, pictures=[*pictures[:7], pictures[7][:700]])
    result = Retrieval(run=tmp_path, data=data, name="n").evaluate(trained)
    (bad,) = result["bad_pictures"]
    assert "truncated" in bad
    assert (result["num_pictures"], result["num_captions"]) == (7, 7)


def test_a_request_that_cannot_be_met_is_refused(trained: TrainedModel, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"share is 0, must be in \(0, 1\]"):
        Retrieval(run=tmp_path, data=tmp_path, name="n", share=0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        Retrieval(run=tmp_path, data=tmp_path, name="n", batch_size=0)
    few = Retrieval(run=tmp_path, data=make_dataset(tmp_path / "data"), name="n", share=1e-9)
    silent = Retrieval(run=tmp_path, data=make_dataset(tmp_path / "silent", captions=[" "] * 8), name="n")
    with pytest.raises(ValueError, match="none of its pictures has a caption"):
        silent.evaluate(trained)
    with pytest.raises(ValueError, match="none of the pictures could be read"):
        few.evaluate(trained)
