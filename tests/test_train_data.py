from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.tiny_train import tiny_config
from train.config import DataConfig, TrainConfig
from train.data import Batch, PairReader, epoch_order
from train.tokenizer import DatasetTokenizer

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


def test_an_epoch_holds_each_pair_once_and_leaves_out_what_fills_no_batch(tmp_path: Path) -> None:
    pairs = reader(tmp_path, tiny_config())
    assert pairs.steps_per_epoch == 2
    seen = [word for batch in pairs.batches(0, 2) for word in words(batch)]
    assert len(seen) == len(set(seen)) == 8


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
