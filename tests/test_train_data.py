import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.schema import Shard
from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.config import DataConfig, TrainConfig
from train.data import Batch, PairReader
from train.order import epoch_order, windows
from train.tokenizer import DatasetTokenizer, encode

# One word each, so that a caption can be read back from its tokens.
CAPTIONS = ["ant", "bee", "cat", "dog", "elk", "fox", "gnu", "hen", "ibex", "jay"]


def reader(root: Path, config: TrainConfig) -> PairReader:
    if not (root / "manifest.json").is_file():
        make_dataset(root, num_pairs=10, captions=CAPTIONS)
    return PairReader(open_dataset(root), DatasetTokenizer.train(CAPTIONS * 9, 400), config)


def break_pictures(root: Path, num_broken: int) -> None:
    """Overwrite the pictures of the first shard's first rows, where they lie in the tar."""
    dataset = open_dataset(make_dataset(root, num_pairs=10, captions=CAPTIONS, pairs_per_shard=10))
    (shard,) = dataset.manifest.shards
    with dataset.tar_path(shard).open("r+b") as tar:
        for row in dataset.read_index(shard).to_pylist()[:num_broken]:
            tar.seek(row["offset"])
            tar.write(bytes(row["num_bytes"]))


def words(batch: Batch) -> list[tuple[int, ...]]:
    return [tuple(row) for row in batch.tokens.tolist()]


def test_an_epochs_order_is_a_function_of_seed_and_epoch() -> None:
    assert epoch_order(6, seed=0, epoch=0).tolist() == epoch_order(6, seed=0, epoch=0).tolist()
    orders = {tuple(epoch_order(50, seed, epoch)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_an_epochs_order_holds_every_row_once() -> None:
    assert np.array_equal(np.sort(epoch_order(1000, seed=3, epoch=7)), np.arange(1000))


def slow_hash(value: int) -> int:
    """Splitmix64 as published, on Python's integers."""
    value = (value + 0x9E3779B97F4A7C15) % 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def test_an_epochs_order_is_by_splitmix64_of_seed_epoch_and_row() -> None:
    of_epoch = slow_hash((slow_hash(5) + 2) % 2**64)
    expected = sorted(range(100), key=lambda row: slow_hash((of_epoch + row) % 2**64))
    assert epoch_order(100, seed=5, epoch=2).tolist() == expected


def keys(pairs: PairReader, num_epochs: int) -> list[str]:
    return [key for batch in pairs.batches(0, pairs.num_steps(num_epochs)) for key in batch.keys]


def windowed(root: Path, max_window_pairs: int, batch_size: int = 4) -> PairReader:
    """A reader of 10 pairs in shards of 4, 4 and 2."""
    data = DataConfig(batch_size=batch_size, min_crop_share=0.5, max_window_pairs=max_window_pairs)
    return reader(root, tiny_config(data=data))


@pytest.mark.parametrize("max_window_pairs", [1, 6, 1000])
def test_every_epoch_holds_each_pair_exactly_once_though_batches_do_not_divide_it(
    tmp_path: Path, max_window_pairs: int
) -> None:
    pairs = windowed(tmp_path, max_window_pairs)
    assert [pairs.num_steps(num_epochs) for num_epochs in (1, 2, 3)] == [2, 5, 7]
    seen = keys(pairs, 2)
    assert len(seen) == 20
    assert set(seen[:10]) == set(seen[10:])
    assert len(set(seen[:10])) == 10
    assert seen[:10] != seen[10:]


def test_a_batch_of_two_epochs_belongs_to_the_later(tmp_path: Path) -> None:
    assert [windowed(tmp_path, 1000).epoch_of(step) for step in range(6)] == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("max_window_pairs", [1, 6])
def test_pairs_come_window_by_window_and_within_one_by_the_hash_of_their_row(
    tmp_path: Path, max_window_pairs: int
) -> None:
    seen = keys(windowed(tmp_path, max_window_pairs, batch_size=2), 1)
    of_epoch = slow_hash(slow_hash(0) + 0)
    rows = {0: range(4), 1: range(4, 8), 2: range(8, 10)}
    table = [row for shard in open_dataset(tmp_path).manifest.shards for row in index_of(tmp_path, shard)]
    expected = [
        table[row]
        for window in windows([4, 4, 2], seed=0, epoch=0, max_pairs=max_window_pairs)
        for row in sorted(
            (row for shard in window.shards for row in rows[shard]),
            key=lambda row: slow_hash((of_epoch + row) % 2**64),
        )
    ]
    assert seen == expected


def index_of(root: Path, shard: Shard) -> list[str]:
    found: list[str] = open_dataset(root).read_index(shard, ["key"])["key"].to_pylist()
    return found


def test_windows_hold_whole_shards_each_once_and_no_more_pairs_than_asked_for() -> None:
    sizes = [3, 9, 1, 4, 4, 30, 2]
    found = windows(sizes, seed=1, epoch=2, max_pairs=10)
    assert sorted(shard for window in found for shard in window.shards) == list(range(7))
    assert all(window.num_pairs <= 10 or len(window.shards) == 1 for window in found)
    assert [window.first for window in found] == [
        sum(before.num_pairs for before in found[:number]) for number in range(len(found))
    ]
    orders = {tuple(windows(sizes, seed, epoch, 10)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize("max_window_pairs", [1, 6])
def test_a_windowed_batch_is_the_same_wherever_the_reading_begins(
    tmp_path: Path, max_window_pairs: int
) -> None:
    batches = list(windowed(tmp_path, max_window_pairs).batches(0, 8))
    for step in (7, 0, 5, 2, 3):
        pairs = windowed(tmp_path, max_window_pairs)
        assert next(pairs.batches(step, 8)).keys == batches[step].keys
        assert tuple(pairs.keys_of(step)) == batches[step].keys


def test_one_of_a_pictures_captions_is_taken_by_chance_and_only_when_asked(tmp_path: Path) -> None:
    make_dataset(tmp_path, num_pairs=10, captions=CAPTIONS, overrides={"extra_captions": ["kid", "owl"]})
    seen: dict[bool, list[tuple[int, ...]]] = {}
    for asked in (False, True):
        data = DataConfig(batch_size=10, extra_captions=asked)
        seen[asked] = [
            word for batch in reader(tmp_path, tiny_config(data=data)).batches(0, 12) for word in words(batch)
        ]
    tokenizer = DatasetTokenizer.train(CAPTIONS * 9, 400)
    extras = [encode(tokenizer, [extra], 16)[0].tolist() for extra in ("kid", "owl")]
    num_extras = {asked: sum(trimmed(word) in extras for word in found) for asked, found in seen.items()}
    assert num_extras[False] == 0
    assert 60 < num_extras[True] < 100  # two of three of 120


def trimmed(word: tuple[int, ...]) -> list[int]:
    return [token for token in word if token]


def test_a_dataset_of_an_early_version_has_one_caption_a_picture(tmp_path: Path) -> None:
    with tarfile.open(Path(__file__).parent / "fixtures/datasets/v1-first.tar.xz") as tar:
        tar.extractall(tmp_path, filter="data")
    found = []
    for asked in (False, True):
        data = DataConfig(batch_size=2, extra_captions=asked)
        found += [words(batch) for batch in reader(tmp_path, tiny_config(data=data)).batches(0, 1)]
    assert found[0] == found[1]


def test_a_batch_is_the_same_wherever_the_reading_begins(tmp_path: Path) -> None:
    pairs = reader(tmp_path, tiny_config())
    fourth = list(pairs.batches(0, 6))[3]
    again = next(pairs.batches(3, 6))
    assert (again.step, words(again)) == (3, words(fourth))
    assert torch.equal(again.images, fourth.images)


@pytest.mark.parametrize("num_threads", [1, 5])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, num_threads: int) -> None:
    config = tiny_config()
    threaded = replace(config, data=replace(config.data, num_decode_threads=num_threads))
    one = [batch.images for batch in reader(tmp_path, config).batches(0, 6)]
    other = [batch.images for batch in reader(tmp_path, threaded).batches(0, 6)]
    assert torch.equal(torch.stack(one), torch.stack(other))


def test_a_broken_picture_is_left_out_and_named(tmp_path: Path) -> None:
    break_pictures(tmp_path, 1)
    pairs = reader(tmp_path, tiny_config(data=DataConfig(batch_size=10)))
    (batch,) = pairs.batches(0, 1)
    assert len(batch.images) == len(batch.tokens) == 9
    assert [bad.partition(": ")[2] for bad in batch.bad_pictures] == ["cannot identify image file"]


@pytest.mark.parametrize("max_bad_pictures", [1, 2])
def test_more_bad_pictures_than_allowed_stop_the_run(tmp_path: Path, max_bad_pictures: int) -> None:
    break_pictures(tmp_path, 1)
    data = DataConfig(batch_size=10, max_bad_pictures=max_bad_pictures)
    batches = reader(tmp_path, tiny_config(data=data)).batches(0, 3)  # of three epochs, one bad in each
    for _ in range(max_bad_pictures):
        next(batches)
    with pytest.raises(
        OSError, match=rf"data.max_bad_pictures is {max_bad_pictures}; the last is .*: cannot"
    ):
        next(batches)


def test_a_batch_without_pictures_stops_the_run(tmp_path: Path) -> None:
    break_pictures(tmp_path, 10)
    pairs = reader(tmp_path, tiny_config(data=DataConfig(batch_size=10)))
    with pytest.raises(OSError, match="10 of 10 pictures unread"):
        next(pairs.batches(0, 1))


def test_a_batch_larger_than_the_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="batch_size is 11, the dataset has only 10 pairs"):
        reader(tmp_path, tiny_config(data=DataConfig(batch_size=11)))


def test_a_dataset_without_pairs_is_refused(tmp_path: Path) -> None:
    make_dataset(tmp_path / "empty", num_pairs=0)
    with pytest.raises(ValueError, match="empty holds no pairs: python -m manifests show"):
        PairReader(open_dataset(tmp_path / "empty"), DatasetTokenizer.train(CAPTIONS * 9, 400), tiny_config())
