"""Training reads a dataset where it lies, with the batches that it would have here."""

from pathlib import Path

import numpy as np

from manifests.storage import location
from manifests.store import open_dataset, write_bytes
from manifests.transfer import transfer
from tests.fakes import make_dataset, make_picture
from tests.s3 import serving_s3
from tests.tiny_train import tiny_config, tiny_flags
from train.__main__ import main
from train.data import PairReader
from train.evals.labelled import open_labelled
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


def test_labelled_pictures_in_a_store_are_those_of_this_machine(tmp_path: Path) -> None:
    with serving_s3(share_of_faults=0.05):
        place = location("s3://bucket/labelled")
        for number, name in enumerate(("cat", "cat", "dog")):
            for root in (tmp_path / "labelled", place):
                write_bytes(root / name / f"{number}.jpg", make_picture(number))
        here, there = open_labelled(tmp_path / "labelled", None), open_labelled(place, None)
        assert here.class_names == there.class_names == ("cat", "dog")
        assert [item[1:] for item in here] == [item[1:] for item in there]


def test_a_run_is_trained_from_a_store_by_its_url(tmp_path: Path) -> None:
    with serving_s3():
        make_dataset(location("s3://bucket/shapes"))
        flags = tiny_flags(tmp_path / "run", tmp_path / "run", num_epochs=1)
        flags[flags.index("--data") + 1] = "s3://bucket/shapes"
        cache = ["--data.cache", str(tmp_path / "cache"), "--data.cache-gb", "0.1"]
        assert main(["fit", *flags, *cache]) == 0
    assert (tmp_path / "run/report.html").exists()
    assert list((tmp_path / "cache").glob("*.copy"))
