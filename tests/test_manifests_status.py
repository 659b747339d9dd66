"""A dataset in img2dataset's columns and words."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import manifests.__main__
from manifests.status import STATUS_SCHEMA
from manifests.store import open_dataset
from tests.fakes import make_dataset, make_rejection


def test_every_pair_that_was_tried_has_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rejections = [
        make_rejection("no_query", stage="match"),
        make_rejection("timeout", stage="fetch", detail="no whole answer within 20 s"),
        make_rejection("image_too_small", stage="image", detail="shorter side 63 px < 64 px"),
        make_rejection("near_duplicate", stage="dedup"),
    ]
    root = make_dataset(tmp_path / "dataset", num_pairs=6, pairs_per_shard=4, rejections=rejections)
    out = tmp_path / "status.parquet"
    assert manifests.__main__.main(["status", str(root), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"8 rows in {out}\n"
    table = pq.read_table(out)
    assert table.schema == STATUS_SCHEMA
    rows = table.to_pylist()
    index = open_dataset(root).read_index(open_dataset(root).manifest.shards[0]).to_pylist()
    assert rows[0] == {name: index[0].get(name) for name in STATUS_SCHEMA.names} | {"status": "success"}
    assert [(row["status"], row["error_message"]) for row in rows[6:]] == [
        ("failed_to_download", "timeout: no whole answer within 20 s"),
        ("failed_to_resize", "image_too_small: shorter side 63 px < 64 px"),
    ]
