"""Training reads a dataset where it lies, with the batches that it would have here."""

from pathlib import Path

import numpy as np

from manifests.storage import location
from manifests.store import open_dataset
from manifests.transfer import transfer
from tests.fakes import make_dataset
from tests.s3 import serving_s3
from tests.tiny_train import tiny_config
from train.data import PairReader
from train.tokenizer import DatasetTokenizer


def test_batches_from_a_store_that_fails_are_those_from_this_machine(tmp_path: Path) -> None:
    make_dataset(tmp_path / "shapes")
    tokenizer = DatasetTokenizer.train(["a red square"] * 9, 300)
    with serving_s3() as s3:
        transfer(tmp_path / "shapes", location("s3://bucket/shapes"), tmp_path / "journal")
        s3.share_of_faults = 0.1
        places = (tmp_path / "shapes", "s3://bucket/shapes")
        readers = [PairReader(open_dataset(place), tokenizer, tiny_config()) for place in places]
        batches = [list(reader.batches(0, 4)) for reader in readers]
    for here, there in zip(*batches, strict=True):
        assert np.array_equal(here.images, there.images) and here.keys == there.keys
