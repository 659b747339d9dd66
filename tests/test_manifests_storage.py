"""Files in an object store: whole or absent, also where the store fails; what cannot be reached is told."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
import s3fs

from manifests import protocols, storage
from manifests.protocols import patiently
from manifests.storage import entries, location
from manifests.store import open_dataset, write_bytes, write_table
from manifests.transfer import files_of, transfer
from tests.fakes import make_dataset
from tests.s3 import S3, serving_s3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


def test_files_are_written_and_read_whole_from_a_store_that_fails_at_every_third_request(s3: S3) -> None:
    s3.share_of_faults = 0.3
    for number in range(4):
        data, place = bytes([number]) * 50_000, location(f"s3://bucket/faults/{number}")
        write_bytes(place, data)
        assert storage.read_bytes(place) == place.read_bytes() == data
        assert storage.read_bytes(place, 10, 20) == data[10:20]
    found = sorted(path.name for path in location("s3://bucket/faults").glob("*"))
    assert found == ["0", "1", "2", "3"]
    s3.share_of_faults = 0


def test_a_table_is_the_same_here_and_in_a_store(s3: S3, tmp_path: Path) -> None:
    table = pa.table({"number": range(100_000), "name": [f"{number:x}" for number in range(100_000)]})
    for place in (tmp_path / "table.parquet", location("s3://bucket/table.parquet")):
        write_table(place, table)
        assert storage.read_table(place).equals(table)
        assert storage.read_table(place, ["name", "number"]).equals(table.select(["name", "number"]))
        assert storage.num_rows(place) == 100_000
        assert storage.read_schema(place).equals(table.schema)


def test_a_place_whose_package_is_not_there_names_the_extra() -> None:
    with pytest.raises(ValueError, match=r"gs:// needs a package .* pip install 'openwit\[gcs\]'"):
        location("gs://bucket/dataset")


def test_a_kind_of_place_that_nobody_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(ValueError, match="nowhere:// is no known kind of place, known: s3://"):
        location("nowhere://bucket/dataset")


def test_a_web_server_is_not_written_to() -> None:
    with pytest.raises(ValueError, match="a web server is only read from"):
        write_bytes(location("https://example.com/file"), b"")


def test_a_file_moves_to_a_store_whole_and_is_gone_here(s3: S3, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    storage.move(tmp_path / "file", location("s3://bucket/moved/file"))
    assert location("s3://bucket/moved/file").read_bytes() == b"bytes"
    assert not (tmp_path / "file").exists()


def test_a_file_moves_into_a_folder_that_was_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"bytes")
    storage.move(tmp_path / "file", tmp_path / "new/folder/file")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["file"]
    assert (tmp_path / "new/folder/file").read_bytes() == b"bytes"


def test_copies_within_a_store_carry_no_bytes_through_here(s3: S3) -> None:
    write_bytes(location("s3://bucket/one"), b"bytes" * 1000)
    s3.requests.clear()
    storage.link_or_copy(location("s3://bucket/one"), location("s3://bucket/two"))
    assert s3.requests["GET"] == 0
    assert storage.read_bytes(location("s3://bucket/two")) == b"bytes" * 1000


def test_a_folder_of_a_store_is_removed_with_all_in_it(s3: S3) -> None:
    write_bytes(location("s3://bucket/folder/a/b"), b"")
    storage.remove_folder(location("s3://bucket/folder"))
    assert not location("s3://bucket/folder").exists()
    storage.remove_folder(location("s3://bucket/folder"))


def test_an_upload_that_is_given_up_leaves_what_was_there(s3: S3) -> None:
    place = location("s3://bucket/old")
    write_bytes(place, b"old")
    with pytest.raises(RuntimeError), storage.written_whole(place) as temporary:
        temporary.write_bytes(b"new")
        raise RuntimeError
    assert place.read_bytes() == b"old"


def test_what_another_process_writes_and_removes_is_seen_at_once(s3: S3) -> None:
    root, other = location("s3://bucket/seen"), s3fs.S3FileSystem(skip_instance_cache=True)
    write_bytes(root / "mine", b"")
    assert [path.name for path in root.glob("*")] == ["mine"]
    other.pipe_file("bucket/seen/theirs", b"")
    assert sorted(path.name for path in root.glob("*")) == ["mine", "theirs"]
    other.rm_file("bucket/seen/mine")
    assert not (root / "mine").exists()


def test_a_copy_takes_one_request_for_each_small_file_and_is_not_done_twice(s3: S3, tmp_path: Path) -> None:
    make_dataset(tmp_path / "shapes", num_pairs=40)
    s3.requests.clear()
    for _ in range(2):
        transfer(tmp_path / "shapes", location("s3://bucket/shapes"), tmp_path / "journal")
    num_files = len(list(files_of(open_dataset(tmp_path / "shapes").manifest)))
    assert s3.requests == {"PUT": num_files + 2}  # the manifest each time


def test_a_failure_that_will_be_so_again_is_told_of_at_once() -> None:
    calls = []

    def fails() -> None:
        calls.append(1)
        raise PermissionError("not yours")

    with pytest.raises(PermissionError, match="not yours"):
        patiently(fails)
    assert len(calls) == 1


def test_what_a_store_cannot_list_is_not_taken_for_an_empty_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = location("memory://bucket/entries")
    for name in ("b.parquet", "a.parquet", "a.txt"):
        write_bytes(folder / name, b"")
    assert [path.name for path in entries(folder, "*.parquet")] == ["a.parquet", "b.parquet"]
    assert entries(folder / "none", "*") == []

    def times_out(*_: object, **__: object) -> None:
        raise TimeoutError

    monkeypatch.setattr(protocols, "PAUSES_S", ())
    monkeypatch.setattr(type(folder.fs), "ls", times_out)  # type: ignore[attr-defined]
    with pytest.raises(TimeoutError):
        entries(folder, "*.parquet")
