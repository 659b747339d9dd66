import io
import math
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from PIL import Image

from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.evals.feature_files import Features
from train.evals.overlap import Overlap
from train.evals.overlap.nearest import hash_of, nearest_by_features, nearest_by_hash
from train.evals.overlap.statistics import split_accuracies
from train.loop import fit
from train.report_overlap import bonferroni
from train.trained import load_trained


def at_least(num_right: int, num_pictures: int, chance: float) -> float:
    """The one-tailed binomial test, added up."""
    return sum(
        math.comb(num_pictures, k) * chance**k * (1 - chance) ** (num_pictures - k)
        for k in range(num_right, num_pictures + 1)
    )


def test_accuracies_and_the_test_equal_the_slow_obvious_version() -> None:
    rng = np.random.default_rng(0)
    correct, overlapping = rng.random(400) < 0.6, rng.random(400) < 0.1
    result = split_accuracies(correct, overlapping)
    right = [c for c, o in zip(correct, overlapping, strict=True) if o]
    clean = [c for c, o in zip(correct, overlapping, strict=True) if not o]
    assert result["accuracy_overlap"] == pytest.approx(sum(right) / len(right))
    assert result["accuracy_clean"] == pytest.approx(sum(clean) / len(clean))
    assert result["gain"] == pytest.approx(correct.mean() - sum(clean) / len(clean))
    assert result["p_value"] == pytest.approx(at_least(sum(right), len(right), sum(clean) / len(clean)))


def test_the_ends_of_the_interval_leave_a_quarter_per_cent_on_each_side() -> None:
    correct = np.array([True] * 30 + [False] * 10)
    low, high = split_accuracies(correct, np.ones(40, bool))["overlap_interval"]
    assert at_least(30, 40, low) == pytest.approx(0.0025, rel=1e-6)
    assert 1 - at_least(31, 40, high) == pytest.approx(0.0025, rel=1e-6)


@pytest.mark.parametrize(
    ("overlapping", "missing"),
    [
        ([False, False], {"accuracy_overlap", "overlap_interval", "p_value"}),
        ([True, True], {"accuracy_clean", "gain", "p_value"}),
    ],
)
def test_what_no_picture_tells_is_left_open(overlapping: list[bool], missing: set[str]) -> None:
    result = split_accuracies(np.array([True, False]), np.array(overlapping))
    assert {name for name, value in result.items() if value is None} == missing


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        split_accuracies(np.empty(0, bool), np.empty(0, bool))


def test_datasets_without_an_overlap_are_not_corrected_for() -> None:
    assert bonferroni({"a": 0.3, "b": 0.004, "c": None}) == {"a": 0.6, "b": 0.008}


def test_a_hash_is_that_of_the_library() -> None:
    picture = Image.effect_noise((90, 70), 80)
    file = io.BytesIO()
    picture.save(file, "PNG")
    assert f"{hash_of(file.getvalue()):016x}" == str(imagehash.phash(picture.convert("RGB")))


def test_the_nearest_hash_equals_the_slow_obvious_version(tmp_path: Path) -> None:
    datasets = [open_dataset(make_dataset(tmp_path / name, num_pairs=20)) for name in ("one", "two")]
    hashes = np.random.default_rng(1).integers(0, 2**64, 30, dtype=np.uint64)
    found = nearest_by_hash(hashes, datasets)
    own = [
        (row["phash"], number, row["key"])
        for number, dataset in enumerate(datasets)
        for shard in dataset.manifest.shards
        for row in dataset.read_index(shard).to_pylist()
    ]
    distances = {
        (number, key, i): (value ^ int(h)).bit_count()
        for i, h in enumerate(hashes)
        for value, number, key in own
    }
    for i in range(len(hashes)):
        of_own = [distance for (_, _, place), distance in distances.items() if place == i]
        assert found.measure[i] == min(of_own)
        assert distances[int(found.dataset[i]), found.key[i], i] == min(of_own)


def features(values: NDArray[np.float32], first: int = 0) -> Features:
    return Features(
        image=values,
        hidden=values,
        labels=np.zeros(len(values), np.int64),
        keys=pa.chunked_array([pa.array([f"key {first + row}" for row in range(len(values))])]),
        bad_pictures=(),
    )


def test_the_nearest_features_equal_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.evals.overlap.nearest.NUM_COMPARED", 100)
    monkeypatch.setattr("train.evals.overlap.nearest.NUM_ROWS", 17)
    rng = np.random.default_rng(2)
    ours = rng.standard_normal((40, 8)).astype(np.float32)
    parts = [rng.standard_normal((size, 8)).astype(np.float32) for size in (30, 50)]
    found = nearest_by_features(ours, [features(parts[0]), features(parts[1], first=30)])
    whole = ours @ np.concatenate(parts).T
    np.testing.assert_allclose(found.measure, whole.max(axis=1), rtol=1e-5)
    best = whole.argmax(axis=1)
    assert found.key.tolist() == [f"key {row}" for row in best]
    assert found.dataset.tolist() == (best >= 30).astype(int).tolist()


def test_an_empty_dataset_has_no_neighbours() -> None:
    found = nearest_by_features(np.ones((2, 4), np.float32), [])
    assert found.dataset.tolist() == [-1, -1]


def noise(number: int) -> Image.Image:
    """Return a picture that has a hash of its own."""
    values = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(values).resize((64, 64), Image.Resampling.BICUBIC)


def encoded(picture: Image.Image, quality: int) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, 20 labelled pictures of noise in two classes, and training data with 5 of them, recompressed."""
    root = tmp_path_factory.mktemp("planted")
    for number in range(20):
        folder = root / "test" / ("cats" if number % 2 else "dogs")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.jpg").write_bytes(encoded(noise(number), 95))
    pictures = [encoded(noise(number), 60) for number in (*range(5), *range(100, 107))]
    captions = [f"<i>noise</i> number {number}" for number in range(12)]
    hashes = [hash_of(picture) for picture in pictures]
    data = make_dataset(root / "data", num_pairs=12, pictures=pictures, captions=captions, phashes=hashes)
    fit(tiny_config(), data, root / "run")
    return root


def overlap(root: Path, **changes: Any) -> Overlap:
    asked: dict[str, Any] = {"run": root / "run", "data": root / "test", "name": "noise"}
    asked["training"] = (root / "data",)
    return Overlap(**(asked | changes))


@pytest.mark.parametrize("rule", [{}, {"max_distance": None, "min_cosine": 0.999}])
def test_planted_pictures_are_found_and_no_others(planted: Path, rule: dict[str, Any]) -> None:
    trained = load_trained(planted / "run")
    result = overlap(planted, **rule).evaluate(trained)
    found = sorted(Path(pair["picture"]).stem for pair in result["pairs"])
    assert set(found) >= {f"{number:02}" for number in range(5)}
    if not rule:  # an untrained model has much the same features for everything
        assert (result["num_overlap"], result["contamination"]) == (5, 0.25)


def test_accuracies_are_those_of_the_parts(planted: Path) -> None:
    trained = load_trained(planted / "run")
    result = overlap(planted).evaluate(trained)
    found = overlap(planted).classified(trained)
    correct = found.logits.argmax(axis=1) == found.labels
    own = [Path(key).stem < "05" for key in found.keys]
    assert result["accuracy_overlap"] == correct[own].mean()
    assert result["accuracy_all"] == correct.mean()


def test_the_page_shows_both_pictures_and_escapes_captions(planted: Path) -> None:
    overlap(planted).evaluate(load_trained(planted / "run"))
    page = (planted / "run" / "evals" / "overlap-noise.html").read_text()
    assert "&lt;i&gt;noise&lt;/i&gt; number 3" in page
    assert "<i>" not in page
    assert page.count("data:image/jpeg") == 2 * page.count('class="card cluster"') >= 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": ()}, "no training data"),
        ({"max_distance": None}, "neither max_distance nor min_cosine"),
        ({"max_distance": 40}, "max_distance is 40, must be 0 to 32"),
        ({"min_cosine": 1.5}, r"min_cosine is 1.5, must be in \(0, 1]"),
    ],
)
def test_a_threshold_that_is_none_is_told(planted: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        overlap(planted, **changes)
