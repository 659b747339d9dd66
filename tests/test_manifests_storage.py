"""Files in an object store: whole or absent, also where the store fails; what cannot be reached is told."""

import builtins
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from manifests import storage
from manifests.storage import location
from tests.s3 import S3, serving_s3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with serving_s3() as s3:
        yield s3


def test_faults(s3: S3, tmp_path: Path) -> None:
    s3.share_of_faults = 0.3
    root = location("s3://bucket/faults")
    for number in range(20):
        data = bytes([number]) * 50_000
        with storage.written_whole(root / f"a/{number}") as path:
            path.write_bytes(data)
        assert storage.read_bytes(root / f"a/{number}") == data
        assert storage.read_bytes(root / f"a/{number}", 10, 20) == data[10:20]
        assert (root / f"a/{number}").read_bytes() == data
        assert (root / f"a/{number}").exists()
    assert len(list((root / "a").glob("*"))) == 20
    table = pa.table({"x": list(range(1000)), "y": ["a"] * 1000})
    print(s3.requests, s3.faults)
