import io
import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest
from numpy import array_equal

from manifests.braces import braced, expanded
from manifests.storage import link_or_copy, location
from manifests.store import DatasetError, open_dataset
from tests.fakes import make_dataset, make_picture
from tests.s3 import serving_s3
from tests.tiny_train import tiny_config
from tests.web_folder import serving_folder
from train.checkpoint import load_checkpoint
from train.config import DataConfig
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


def plain(root: Path, num_tars: int = 3) -> Path:
    """Make tars of four samples each."""
    root.mkdir()
    for first in range(0, 4 * num_tars, 4):
        members: dict[str, bytes] = {}
        for number in range(first, first + 4):
            members |= {f"{number}.jpg": make_picture(number, 300), f"{number}.txt": b"a red square"}
        write_tar(root / f"{first // 4:05}.tar", members)
    return root


def test_tars_of_a_web_server_are_indexed_once_and_give_the_same_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    root, tokenizer = plain(tmp_path / "plain"), DatasetTokenizer.train(["a red square"] * 9, 300)
    with serving_folder(root) as served:
        place = location(f"{served.url}/{{00000..00002}}.tar")
        pairs = [PairReader(open_pairs(found), tokenizer, tiny_config()) for found in (root, place)]
        here, there = (list(reader.batches(0, 3)) for reader in pairs)
        for mine, other in zip(here, there, strict=True):
            assert mine.keys == other.keys and array_equal(mine.images, other.images)
        served.requests.clear()
        open_pairs(place)
    assert len(list((tmp_path / "home/openwit/tars").glob(f"*/{FOLDER}/*.parquet"))) == 3
    # Their sizes, and no more.
    assert served.requests == {f"/data/{number:05}.tar": 1 for number in range(3)}


def test_tars_of_a_store_are_indexed_beside_them_and_kept_in_the_cache(tmp_path: Path) -> None:
    root, tokenizer = plain(tmp_path / "plain"), DatasetTokenizer.train(["a red square"] * 9, 300)
    with serving_s3() as s3:
        for tar in root.iterdir():
            link_or_copy(tar, location(f"s3://bucket/plain/{tar.name}"))
        there = open_pairs(location("s3://bucket/plain"))
        data = DataConfig(batch_size=4, min_crop_share=0.5, cache=tmp_path / "cache")
        reader = PairReader(there, tokenizer, tiny_config(data=data))
        first = list(reader.batches(0, 3))
        while len(list((tmp_path / "cache").glob("*.copy"))) < 6:  # of tars and indexes
            sleep(0.01)
        s3.num_bytes = 0
        assert [batch.keys for batch in reader.batches(0, 3)] == [batch.keys for batch in first]
        assert s3.num_bytes == 0
        assert len(list(location(f"s3://bucket/plain/{FOLDER}").glob("*.parquet"))) == 3


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up what root may, where these tests are run by root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if was == 0:
            os.seteuid(0)


def test_tars_where_nothing_can_be_written_are_indexed_in_the_users_cache_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = plain(Path(folder) / "plain", 2)
        (root.parent / "home").mkdir()
        for path, mode in ((root.parent, 0o755), (root, 0o555), (root.parent / "home", 0o777)):
            path.chmod(mode)
        monkeypatch.setenv("XDG_CACHE_HOME", f"{folder}/home")
        with as_nobody():
            assert len(captions_of(root)) == 8
        assert [path.suffix for path in root.iterdir()] == [".tar"] * 2
        assert len(list(Path(folder).glob(f"home/openwit/tars/*/{FOLDER}/*"))) == 2


def test_a_pattern_stands_for_the_tars_that_a_shell_makes_of_it(tmp_path: Path) -> None:
    root = plain(tmp_path / "plain")
    assert open_pairs(root / "{00000..00002}.tar").manifest == open_pairs(root).manifest
    assert len(open_pairs(root / "00001.tar").manifest.shards) == 1
    with pytest.raises(DatasetError, match=r"00003\.tar is not there\. Next"):
        open_pairs(root / "{00000..00003}.tar")
    with pytest.raises(ValueError, match="a brace that is not closed"):
        open_pairs(root / "{0.tar")


@pytest.mark.parametrize(
    "pattern", ["a", "{08..11}x{a,b}", "{a,{3..5},c}{1..1}", braced(["007", "008", "010", "999"])]
)
def test_patterns_are_expanded_as_bash_does(pattern: str) -> None:
    said = subprocess.run(["bash", "-c", f"echo {pattern}"], capture_output=True, text=True, check=True)
    assert expanded(pattern) == said.stdout.split()
