"""Several datasets in one stream: each without replacement, as often as was asked for."""

import doctest
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

import train.mix
import train.order
from manifests.store import Dataset, open_dataset
from tests.fakes import make_caption, make_dataset, make_picture
from tests.processes import run_together
from tests.tiny_train import tiny_config, tiny_flags
from train.__main__ import main
from train.config import DataConfig, TrainConfig
from train.data import PairReader
from train.distributed import share_of
from train.loop import fit
from train.metrics import read_ledger
from train.mix import mix_of
from train.order import taken_before, taker_of
from train.report import write_run_report
from train.tokenizer import DatasetTokenizer

TOKENIZER = DatasetTokenizer.train(["a red square"] * 9, 300)


def made(root: Path, name: str, num_pairs: int, first: int = 0) -> Path:
    """Make a dataset of the pictures from `first` on."""
    numbers = range(first, first + num_pairs)
    return make_dataset(
        root / name,
        num_pairs=num_pairs,
        captions=[make_caption(number) for number in numbers],
        pictures=[make_picture(number) for number in numbers],
        name=name,
    )


@pytest.fixture
def places(tmp_path: Path) -> list[Path]:
    """A dataset of 12 pairs, one of 5 and one of 3."""
    sizes = {"large": 12, "middle": 5, "small": 3}
    return [made(tmp_path, name, size, first) for first, (name, size) in enumerate(sizes.items())]


def mixed(passes: tuple[float, ...] | None, batch_size: int = 4, window: int = 1000) -> TrainConfig:
    data = DataConfig(batch_size=batch_size, min_crop_share=0.5, passes=passes, max_window_pairs=window)
    return tiny_config(data=data, ledger=True, num_epochs=4)


def reader(places: list[Path], config: TrainConfig) -> PairReader:
    return PairReader([open_dataset(place) for place in places], TOKENIZER, config)


def keys(pairs: PairReader, num_steps: int) -> list[str]:
    return [key for batch in pairs.batches(0, num_steps) for key in batch.keys]


def source(key: str) -> str:
    return key.partition("/")[0]


def test_the_examples_in_docstrings_hold() -> None:
    assert [doctest.testmod(module).failed for module in (train.order, train.mix)] == [0, 0]


@pytest.mark.parametrize("sizes", [[7], [4, 2], [1, 1, 1], [100, 1], [3, 50, 11, 7, 1]])
def test_datasets_take_turns_and_none_is_ever_ahead_of_its_share(sizes: list[int]) -> None:
    total, counted = sum(sizes), [0] * len(sizes)
    for place in range(total):
        assert taken_before(place, sizes) == counted
        shares = [place * size / total for size in sizes]
        assert all(abs(own - share) < len(sizes) for own, share in zip(counted, shares, strict=True))
        counted[taker_of(place, sizes)] += 1
    assert counted == taken_before(total, sizes) == sizes


@pytest.mark.parametrize("window", [5, 1000])
def test_an_epoch_goes_through_each_dataset_as_often_as_asked(places: list[Path], window: int) -> None:
    pairs = reader(places, mixed((1, 0.4, 3), batch_size=2, window=window))
    assert [pairs.num_steps(epochs) for epochs in (1, 2, 5)] == [11, 23, 57]  # 12 + 2 + 9 pairs
    seen = keys(pairs, 57)
    for epoch in range(4):
        of_epoch = seen[23 * epoch : 23 * (epoch + 1)]
        assert Counter(map(source, of_epoch)) == {"large": 12, "middle": 2, "small": 9}
    for name, size in (("large", 12), ("middle", 5), ("small", 3)):
        own = [key for key in seen if source(key) == name]
        passes = [own[first : first + size] for first in range(0, len(own) - size + 1, size)]
        assert all(len(set(one)) == size for one in passes)
        assert len(passes) >= 2
        assert len({tuple(one) for one in passes}) > 1  # each in an order of its own


def test_every_batch_has_its_share_of_each_dataset(places: list[Path]) -> None:
    pairs = reader(places, mixed((1, 1, 1), batch_size=10))
    for batch in pairs.batches(0, 20):
        counts = Counter(map(source, batch.keys))
        assert 5 <= counts["large"] <= 7
        assert 2 <= counts["middle"] <= 4


def test_one_dataset_is_read_as_it_was_before_there_were_mixes(places: list[Path]) -> None:
    alone = PairReader(open_dataset(places[0]), TOKENIZER, mixed(None))
    of_mix = reader(places, mixed(None))
    seen = [key for key in keys(of_mix, 10) if source(key) == "large"]
    assert seen == [f"large/{key}" for key in keys(alone, 10)][: len(seen)]


def test_half_a_pass_is_gone_on_with_in_the_next_epoch(places: list[Path]) -> None:
    pairs = reader(places[:1], mixed((0.5,), batch_size=2))
    assert (pairs.num_steps(1), pairs.num_steps(2)) == (3, 6)
    assert len(set(keys(pairs, 6))) == 12


def test_datasets_of_one_size_are_shuffled_differently(tmp_path: Path) -> None:
    pairs = reader([made(tmp_path, "one", 9), made(tmp_path, "two", 9, 1)], mixed(None, batch_size=2))
    ranks = {name: [row["key"] for row in _rows(open_dataset(tmp_path / name))] for name in ("one", "two")}
    seen = keys(pairs, 9)
    orders = [
        [ranks[name].index(key.partition("/")[2]) for key in seen if source(key) == name] for name in ranks
    ]
    assert orders[0] != orders[1]


def _rows(dataset: Dataset) -> list[dict[str, str]]:
    return [row for shard in dataset.manifest.shards for row in dataset.read_index(shard).to_pylist()]


def test_a_batch_is_the_same_wherever_reading_begins_and_in_whatever_order_datasets_are_named(
    places: list[Path],
) -> None:
    whole = list(reader(places, mixed((1, 0.4, 3))).batches(0, 12))
    other = reader(places[::-1], mixed((3, 0.4, 1)))
    for step in (11, 0, 5, 6):
        assert next(other.batches(step, 12)).keys == whole[step].keys == tuple(other.keys_of(step))


@pytest.mark.parametrize("num_processes", [2, 3])
def test_processes_share_the_batches_of_one(places: list[Path], num_processes: int) -> None:
    config = mixed((1, 0.4, 3), batch_size=7)
    datasets = [open_dataset(place) for place in places]
    for step, batch in enumerate(PairReader(datasets, TOKENIZER, config).batches(0, 4)):
        for rank in range(num_processes):
            own = PairReader(datasets, TOKENIZER, config, rank, num_processes)
            share = share_of(7, rank, num_processes)
            assert next(own.batches(step, step + 1)).keys == batch.keys[share]


def test_a_run_goes_on_in_mid_epoch_with_another_number_of_processes(
    places: list[Path], tmp_path: Path
) -> None:
    config = replace(mixed((1, 0.4, 3), batch_size=6), num_checkpoints_kept=99, checkpoint_every_steps=1)
    whole, other = fit(config, places, tmp_path / "whole"), fit(config, places, tmp_path / "other")
    (other / "checkpoints" / "latest").write_text("step-00000006.pt\n")
    run_together(2, fit, config, places, other)
    assert read_ledger(other) == read_ledger(whole)


def test_a_run_says_which_datasets_it_learns_from_and_one_that_changed_is_named(
    places: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    flags = tiny_flags(places[0], run, num_epochs=1)
    where = flags.index("--data") + 1
    flags[where : where + 1] = [str(place) for place in places[:2]]
    assert main(["fit", *flags, "--data.passes", "1", "2"]) == 0
    parts = json.loads((run / "config.json").read_text())["dataset"]["parts"]
    assert {name: (part["num_pairs"], part.get("passes")) for name, part in parts.items()} == {
        "large": (12, None),
        "middle": (5, 2.0),
    }
    made(places[1].parent, "middle", 6)
    capsys.readouterr()
    assert main(["fit", *flags, "--data.passes", "1", "2"]) == 2
    error = capsys.readouterr().err
    assert "dataset.parts.middle.content_hash: " in error
    assert "dataset.parts.middle.num_pairs: 5, now 6" in error


def test_plan_and_report_know_datasets_by_name(
    places: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(places[0]), str(places[2]), "--data.passes", "1", "2"]
    flags = ["plan", "vit_b_32", "--gpu", "h200", "--data.batch-size", "6", "--num-epochs", "2", *asked]
    assert main(flags) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2:] == [
        "data        large: 66.7% of every batch, 1 x 12 pairs an epoch",
        "data        small: 33.3% of every batch, 2 x 3 pairs an epoch",
    ]
    assert any("for 36 samples," in line for line in said)
    run = fit(mixed((1, 2), batch_size=6), [places[0], places[2]], tmp_path / "run")
    page = write_run_report(run).read_text()
    words = [word.split("<")[0] for word in page.partition("Datasets of the run")[2].split(">")]
    cells = [word for word in words if word.strip()]
    # Four epochs of 12 + 2 x 3 pairs, in batches of six.
    assert cells[cells.index("large") :][:5] == ["large", "12", "1", "66.7%", "4"]
    assert cells[cells.index("small") :][:5] == ["small", "3", "2", "33.3%", "8"]


def test_datasets_of_one_name_are_numbered(tmp_path: Path) -> None:
    places = [make_dataset(tmp_path / str(number), num_pairs=number) for number in (4, 5)]
    assert sorted(part.name for part in mix_of([open_dataset(place) for place in places], None)) == [
        "shapes",
        "shapes-2",
    ]


def test_wrong_mixes_are_refused(places: list[Path]) -> None:
    large, middle, small = (open_dataset(place) for place in places)
    with pytest.raises(ValueError, match=r"data.passes are 1, --data are 2. Next"):
        mix_of([large, middle], [1])
    with pytest.raises(ValueError, match=r"are the same dataset\. Next: give it once"):
        mix_of([large, small, large], None)
    with pytest.raises(ValueError, match=r"batch_size is 8, 60.0% of it from small, which has only 3 pairs"):
        PairReader([large, small], TOKENIZER, mixed((1, 6), batch_size=8))
    with pytest.raises(ValueError, match=r"data.passes is \(1, 0\), must be above 0"):
        mixed((1, 0))
