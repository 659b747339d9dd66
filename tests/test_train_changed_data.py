"""The reader of training data on datasets that were corrected, merged and resharded after they were built."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.test_manifests_takedown import rows_of, take
from tests.tiny_train import tiny_config
from train.data import PairReader
from train.tokenizer import DatasetTokenizer


@pytest.fixture
def changed(tmp_path: Path) -> dict[str, Path]:
    """A dataset from which pairs of two shards were taken down, and what else was made of it."""
    root = make_dataset(tmp_path / "taken_down", num_pairs=24, pairs_per_shard=5)
    rows = rows_of(root)
    take(root, url=[rows[3]["url"], rows[13]["url"]])
    made = {
        "selected": ["select", str(root), "--max-pairs", "11"],
        "resharded": ["reshard", str(root), "--pairs-per-shard", "4"],
        "merged": [
            "merge",
            str(root),
            str(make_dataset(tmp_path / "two", num_pairs=3, captions=list("abc"))),
        ],
    }
    for name, command in made.items():
        assert main([*command, "--out", str(tmp_path / name)]) == 0
    return {name: tmp_path / name for name in ("taken_down", *made)}


@pytest.mark.parametrize("name", ["taken_down", "selected", "resharded", "merged"])
def test_every_pair_is_read_once_an_epoch(changed: dict[str, Path], name: str) -> None:
    root = changed[name]
    rows = rows_of(root)
    captions = [row["caption"] for row in rows]
    config = tiny_config()
    config = replace(config, data=replace(config.data, batch_size=len(rows)))
    reader = PairReader(open_dataset(root), DatasetTokenizer.train(captions * 9, 400), config)
    (batch,) = reader.batches(0, 1)
    assert batch.bad_pictures == ()
    assert Counter(batch.keys) == Counter(row["key"] for row in rows)
