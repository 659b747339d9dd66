import io
import math
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image

from manifests.store import open_dataset
from tests.fakes import make_dataset
from train.evals.overlap.nearest import hash_of, nearest_by_features, nearest_by_hash
from train.evals.overlap.statistics import bonferroni, split_accuracies


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
        row["phash"]
        for dataset in datasets
        for shard in dataset.manifest.shards
        for row in dataset.read_index(shard).to_pylist()
    ]
    assert found.measure.tolist() == [min((value ^ int(h)).bit_count() for value in own) for h in hashes]
    for number, hash_ in enumerate(hashes):
        dataset = datasets[found.dataset[number]]
        shard = dataset.manifest.shards[found.shard[number]]
        row = dataset.read_index(shard).to_pylist()[found.row[number]]
        assert (row["phash"] ^ int(hash_)).bit_count() == found.measure[number]


def test_the_nearest_features_equal_the_whole_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("train.evals.overlap.nearest.NUM_COMPARED", 100)
    rng = np.random.default_rng(2)
    ours = rng.standard_normal((40, 8)).astype(np.float32)
    parts = [rng.standard_normal((size, 8)).astype(np.float32) for size in (30, 0, 50)]
    found = nearest_by_features(ours, (((0, place), part) for place, part in enumerate(parts)))
    whole = ours @ np.concatenate(parts).T
    np.testing.assert_allclose(found.measure, whole.max(axis=1), rtol=1e-5)
    starts = np.array([0, 30, 30])
    assert (starts[found.shard] + found.row == whole.argmax(axis=1)).all()


def test_an_empty_dataset_has_no_neighbours() -> None:
    found = nearest_by_features(np.ones((2, 4), np.float32), [])
    assert found.dataset.tolist() == [-1, -1]
