import io
import json
import tarfile
from pathlib import Path

import pytest
from numpy import array_equal

from manifests.store import DatasetError, open_dataset
from tests.fakes import make_dataset, make_picture
from tests.tiny_train import tiny_config
from train.checkpoint import load_checkpoint
from train.data import PairReader
from train.loop import fit
from train.plain_tars import FOLDER, open_pairs
from train.rows import EpochRows
from train.tokenizer import DatasetTokenizer


def write_tar(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def captions_of(root: Path) -> dict[str, str]:
    dataset = open_pairs(root)
    rows = EpochRows(dataset, seed=0, max_window_pairs=9, extra_captions=False)
    return {row.key: row.captions[0] for row in rows.at(range(rows.num_pairs))}


def test_our_own_tars_without_their_manifest_give_the_same_pairs(tmp_path: Path) -> None:
    whole = open_dataset(make_dataset(tmp_path / "whole"))
    (tmp_path / "plain").mkdir()
    for shard in whole.manifest.shards:
        tar = whole.tar_path(shard)
        (tmp_path / "plain" / tar.name).write_bytes(tar.read_bytes())
    tokenizer = DatasetTokenizer.train(["a red square"] * 9, 300)
    readers = [
        PairReader(found, tokenizer, tiny_config()) for found in (whole, open_pairs(tmp_path / "plain"))
    ]
    ours, plain = (list(reader.batches(0, 2)) for reader in readers)
    for mine, other in zip(ours, plain, strict=True):
        assert [key.partition("/")[2] for key in other.keys] == list(mine.keys)
        assert array_equal(mine.tokens, other.tokens)


def test_samples_are_what_webdataset_takes_for_one_and_the_unusable_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.dumps({"caption": "of the record"}).encode()
    members = {"a/0.jpg": make_picture(0), "a/0.json": record, "a/0.txt": b"of the text"}
    members |= {"1.json": record, "1.png": make_picture(1), "2.jpg": b"no caption", "3.txt": b"no picture"}
    members |= {"4.jpg": b"", "4.txt": b"\xff", "5.jpg": b"", "5.json": b"[1]", "6.jpg": b"", "6.txt": b" "}
    write_tar(tmp_path / "x.tar", members)
    assert captions_of(tmp_path) == {"x/a/0": "of the text", "x/1": "of the record"}
    assert "left out, of 7 samples: {'sample_without_picture_or_caption': 5}" in capsys.readouterr().err
    (stage,) = open_pairs(tmp_path).manifest.funnel
    assert (stage.num_in, stage.num_out, sum(stage.dropped.values())) == (7, 2, 5)


def test_an_index_is_made_once_and_again_for_a_tar_of_another_size(tmp_path: Path) -> None:
    write_tar(tmp_path / "x.tar", {"0.jpg": make_picture(0), "0.txt": b"first"})
    before = open_pairs(tmp_path).manifest
    (index,) = (tmp_path / FOLDER).iterdir()
    written = index.stat().st_mtime_ns
    assert open_pairs(tmp_path).manifest == before
    assert index.stat().st_mtime_ns == written
    write_tar(tmp_path / "x.tar", {f"{number}.txt": b"second" * 2000 for number in range(2)} | {"1.jpg": b""})
    assert captions_of(tmp_path) == {"x/1": "second" * 2000}


def test_a_folder_without_tars_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no manifest\.json"):
        open_pairs(tmp_path)


def test_a_run_is_trained_on_plain_tars(tmp_path: Path) -> None:
    members = {f"{number}.jpg": make_picture(number) for number in range(8)}
    write_tar(
        tmp_path / "x.tar", dict(sorted((members | {f"{n}.txt": b"a red square" for n in range(8)}).items()))
    )
    fit(tiny_config(num_epochs=1), tmp_path, tmp_path / "run")
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint is not None and checkpoint.step == 2
