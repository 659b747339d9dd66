"""A file that is hashed while it is written holds what was written, and knows it."""

import io
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.hashing import BLOCK_BYTES, HashedFile, write_table_hashed, written_hashed
from manifests.store import record_file, write_table

SIZES = (0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES + 5, 512, 100_000)


@pytest.mark.parametrize("seed", range(4))
def test_bytes_of_any_lengths_are_written_and_their_record_is_the_files(tmp_path: Path, seed: int) -> None:
    rng, path, written = random.Random(seed), tmp_path / "file", b""
    with written_hashed(path) as file:
        for size in rng.choices(SIZES, k=9):
            data = rng.randbytes(size)
            assert file.tell() == len(written)
            if rng.random() < 0.5:
                file.write(data)
            else:
                assert file.copy_from(io.BytesIO(data + b"more"), size) == size
            written += data
    assert path.read_bytes() == written
    assert file.record("file") == record_file(tmp_path, path)


def test_a_file_that_is_shorter_than_asked_for_is_copied_as_far_as_it_goes(tmp_path: Path) -> None:
    with written_hashed(tmp_path / "file") as file:
        assert file.copy_from(io.BytesIO(b"abc"), 5) == 3
    assert (tmp_path / "file").read_bytes() == b"abc"


def test_a_file_that_broke_off_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), written_hashed(tmp_path / "file") as file:
        file.write(b"x" * 2 * BLOCK_BYTES)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("num_blocks", [1, 20])
def test_a_disk_that_is_full_is_told_of(num_blocks: int) -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        Path("/dev/full").open("wb") as full,
        ThreadPoolExecutor(max_workers=1) as writing,
        ThreadPoolExecutor(max_workers=1) as hashing,
    ):
        file = HashedFile(full, writing, hashing)
        for _ in range(num_blocks):
            file.write(b"x" * BLOCK_BYTES)
        file.finish()


def test_a_table_is_the_same_bytes_as_without_the_hash(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(20_000)), "b": ["x", None] * 10_000})
    write_table(tmp_path / "plain.parquet", table)
    record = write_table_hashed(tmp_path, "hashed.parquet", table)
    assert (tmp_path / "hashed.parquet").read_bytes() == (tmp_path / "plain.parquet").read_bytes()
    assert record == record_file(tmp_path, tmp_path / "hashed.parquet")
