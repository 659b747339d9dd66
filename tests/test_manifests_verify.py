"""A whole dataset passes; one changed byte anywhere fails and is named."""

import random
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.verify import verify
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
