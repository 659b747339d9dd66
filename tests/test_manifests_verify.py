"""A whole dataset passes; one changed byte anywhere fails and is named."""

import hashlib
import json
import os
import random
import shutil
import tarfile
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from filters.colours import colours_of
from filters.sampling import content_key
from manifests.__main__ import main
from manifests.store import read_manifest
from manifests.verify import Options, pairs, verify
from manifests.verify.headers import Layout
from manifests.verify.keys import Keys, key_hashes
from manifests.verify.tar import read_tar, tar_problems
from tests.corruptions import DAMAGE, FORGERIES, make_victim
from tests.fakes import make_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    return make_dataset(tmp_path / "dataset", num_pairs=12)


def change_byte(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 0x01
    path.write_bytes(data)


def test_an_untouched_dataset_has_no_mismatch(dataset: Path) -> None:
    assert list(verify(dataset)) == []


@pytest.mark.parametrize(
    "pattern", ["shards/*.tar", "index/*.parquet", "rejections/*", "*.parquet", "shards/*.json"]
)
def test_a_changed_byte_of_a_file_is_found_and_named(dataset: Path, pattern: str) -> None:
    path = sorted(dataset.glob(pattern))[0]
    change_byte(path, random.Random(pattern).randrange(10_000))
    assert {mismatch.path for mismatch in verify(dataset)} == {path.relative_to(dataset).as_posix()}


def test_any_changed_byte_of_the_manifest_is_found(dataset: Path) -> None:
    path = dataset / "manifest.json"
    original = path.read_bytes()
    for at in random.Random(0).sample(range(len(original)), 200):
        change_byte(path, at)
        assert [mismatch.path for mismatch in verify(dataset)][:1] == ["manifest.json"], at
        path.write_bytes(original)


def test_a_missing_and_an_unrecorded_file_are_named(dataset: Path) -> None:
    tar = sorted(dataset.glob("shards/*.tar"))[0]
    tar.rename(tar.with_name("99999.tar"))
    assert {mismatch.path for mismatch in verify(dataset)} == {f"shards/{tar.name}", "shards/99999.tar"}


def test_the_command_fails_with_the_name_of_the_file(
    dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(dataset)]) == 0
    change_byte(sorted(dataset.glob("index/*"))[0], 77)
    assert main(["verify", str(dataset)]) == 1
    assert "index/00000.parquet: has sha256" in capsys.readouterr().out


def test_a_directory_without_a_manifest_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(tmp_path)]) == 2
    assert "holds no manifest.json" in capsys.readouterr().err


def damaged_in_three_places(root: Path) -> Path:
    victim = make_victim(root)
    for name, at in (("shards/00001.tar", 3_000), ("index/00002.parquet", 99), ("samples.parquet", 50)):
        change_byte(victim / name, at)
    return victim


@pytest.mark.parametrize("deep", [False, True])
def test_processes_find_the_same_in_the_same_order(tmp_path: Path, deep: bool) -> None:
    victim = damaged_in_three_places(tmp_path / "dataset")
    found = list(verify(victim, Options(deep=deep)))
    assert {mismatch.path for mismatch in found} >= {
        "shards/00001.tar",
        "index/00002.parquet",
        "samples.parquet",
    }
    assert list(verify(victim, Options(deep=deep, workers=3))) == found


def test_a_verification_that_broke_off_goes_on_where_it_was(dataset: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    change_byte(dataset / "shards/00002.tar", 2_000)
    list(islice(verify(dataset, Options(journal=journal)), 1))  # as killed at the first mismatch
    noted = journal.read_text().splitlines()
    assert len(noted) == 5 + 2  # tables, then two shards
    with (dataset / "shards/00000.tar").open("r+b") as tar:  # unseen: neither its size nor its time change
        times = (dataset / "shards/00000.tar").stat()
        tar.write(b"x")
    os.utime(dataset / "shards/00000.tar", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert {each.path for each in verify(dataset, Options(journal=journal))} == {"shards/00002.tar"}
    assert not journal.exists()
    assert next(verify(dataset)).path == "shards/00000.tar"


def test_a_file_that_changed_since_it_was_noted_is_looked_at_again(dataset: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    change_byte(dataset / "shards/00002.tar", 2_000)
    list(islice(verify(dataset, Options(journal=journal)), 1))
    change_byte(dataset / "shards/00000.tar", 2_000)
    paths = [each.path for each in verify(dataset, Options(journal=journal))]
    assert list(dict.fromkeys(paths)) == ["shards/00000.tar", "shards/00002.tar"]


def test_what_was_noted_of_a_plain_look_is_nothing_to_a_deep_one(dataset: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    change_byte(dataset / "shards/00002.tar", 2_000)
    list(islice(verify(dataset, Options(journal=journal)), 1))
    before = journal.read_text().splitlines()
    list(islice(verify(dataset, Options(journal=journal, deep=True)), 1))
    assert len(journal.read_text().splitlines()) == 2 * len(before)


def test_known_shards_still_tell_their_keys_and_counts(tmp_path: Path) -> None:
    """All is known but the last shard; keys and counts of all are compared all the same."""
    victim, journal = make_victim(tmp_path / "dataset"), tmp_path / "journal"
    change_byte(victim / "shards/00002.tar", 2_000)
    list(islice(verify(victim, Options(journal=journal, deep=True)), 1))
    for name in ("shards/{}.tar", "index/{}.parquet", "fetch_times/{}.parquet"):
        shutil.copyfile(victim / name.format("00000"), victim / name.format("00002"))
    found = [str(each) for each in verify(victim, Options(journal=journal, deep=True))]
    assert any("was before in index/00000.parquet, and so have 3 more" in line for line in found)
    assert any("num_kept of" in line for line in found)


def test_the_fast_look_at_a_tar_agrees_exactly_where_the_slow_one_finds_nothing(tmp_path: Path) -> None:
    kinds = [kind for kind in FORGERIES if kind.__name__.startswith("forged_")]
    seen = set()
    for seed in range(60):
        rng, root = random.Random(seed), tmp_path / str(seed)
        make_victim(root) if seed == 0 else shutil.copytree(tmp_path / "0", root)
        if seed:
            rng.choice((*DAMAGE[:3], *kinds[:2], *kinds[7:8]))(root, rng)
        for shard in read_manifest(tmp_path / "0").shards:
            try:
                index = pq.read_table(root / shard.index.path).select(
                    ["key", "offset", "num_bytes", "caption"]
                )
                problems = list(tar_problems(root / shard.tar.path, index))
            except (OSError, ValueError, tarfile.TarError):
                continue
            fast = read_tar(root / shard.tar.path, Layout.of(index))
            assert fast.agrees == (not problems), (seed, problems)
            assert fast.sha256 == hashlib.sha256((root / shard.tar.path).read_bytes()).hexdigest()
            seen.add(fast.agrees)
    assert seen == {True, False}


@pytest.mark.parametrize("num_keys", [0, 1, 50_000])
def test_repeated_keys_are_those_that_a_set_finds(num_keys: int, dataset: Path) -> None:
    keys = [hashlib.md5(str(n % (num_keys - num_keys // 10)).encode()).hexdigest() for n in range(num_keys)]
    manifest = replace(read_manifest(dataset), num_pairs=20_000_000)  # so that there are several ranges
    with Keys(manifest) as all_keys:
        for start in range(0, num_keys, 7_000):
            all_keys.add(key_hashes(pa.chunked_array([keys[start : start + 7_000]])))
        found = all_keys.repeated()
    twice = (
        sorted({key for key in keys if keys.count(key) > 1})
        if num_keys < 100
        else sorted(keys[: num_keys // 10])
    )
    assert found.tolist() == np.sort(key_hashes(pa.chunked_array([twice], type=pa.string()))).tolist()


def test_keys_are_made_as_the_pipeline_makes_them() -> None:
    for sha256, caption in (("0" * 64, "a cup"), ("f" * 64, "ein Bär \ud800")):
        assert pairs.content_key(sha256, caption) == content_key(sha256, caption)


def test_a_picture_in_the_place_of_another_of_its_size_is_told_by_its_colours() -> None:
    red, blue = (Image.new("RGB", (200, 150), colour) for colour in ("red", "blue"))
    assert pairs.colours_problem(red, colours_of(red)) is None
    assert pairs.colours_problem(red.resize((64, 48)), colours_of(red)) is None
    problem = pairs.colours_problem(blue, colours_of(red))
    assert problem == "has other colours than the index says, by 170 of 255 in the mean"


def test_the_command_prints_one_json_object(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dataset), "--json", "--deep"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "dataset": str(dataset),
        "whole": True,
        "mismatches": [],
        "num_pairs": 12,
        "num_shards": 3,
    }
    (dataset / "queries.parquet").unlink()
    assert main(["verify", str(dataset), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["mismatches"] == [{"path": "queries.parquet", "problem": "is missing"}]


def test_no_workers_are_refused(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(dataset), "--workers", "0"]) == 2
    assert "--workers must be >= 1, not 0" in capsys.readouterr().err
