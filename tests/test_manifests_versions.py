"""Datasets that earlier versions built are shown, verified, reported, selected from, read and trained from.

The fixtures were built from two drawn pictures, a copy and one that is too small, by the code of that time:
v1-first by the first whole pipeline, v1-middle before facts of downloads were kept, v1-last by the last code
that wrote version 1, v2 by the first that wrote version 2.
"""

import json
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.__main__ import main
from manifests.report import write_report
from manifests.reshard import reshard
from manifests.schema import INDEX_SCHEMA, QUERY_SCHEMA, REJECTION_SCHEMA, SCHEMA_VERSION, Change
from manifests.select import Judged, write_selection
from manifests.status import status_tables
from manifests.storage import read_table
from manifests.store import (
    DatasetError,
    manifest_from_bytes,
    manifest_to_bytes,
    open_dataset,
    read_manifest,
)
from manifests.verify import Options, verify
from manifests.versions import as_current, is_of

FIXTURES = Path(__file__).parent / "fixtures" / "datasets"
VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in FIXTURES.glob("*.tar.xz"))


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    root = tmp_path / str(request.param)
    with tarfile.open(FIXTURES / f"{request.param}.tar.xz") as tar:
        tar.extractall(root, filter="data")
    return root


def test_all_versions_are_there_and_small() -> None:
    assert {name.partition("-")[0] for name in VERSIONS} == {f"v{n + 1}" for n in range(SCHEMA_VERSION)}
    assert sum(path.stat().st_size for path in FIXTURES.iterdir()) < 60_000


def test_an_earlier_dataset_is_shown_and_verifies(old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(verify(old, Options(deep=True))) == []
    assert main(["show", str(old)]) == 0
    assert "2 pairs in 1 shards" in capsys.readouterr().out
    assert main(["show", "--json", str(old)]) == 0
    assert json.loads(capsys.readouterr().out)["num_pairs"] == 2


def test_a_manifest_keeps_its_bytes(old: Path) -> None:
    data = (old / "manifest.json").read_bytes()
    assert manifest_to_bytes(manifest_from_bytes(data)) == data


def test_tables_are_read_in_todays_columns(old: Path) -> None:
    dataset = open_dataset(old)
    (shard,) = dataset.manifest.shards
    index = dataset.read_index(shard)
    assert is_of(INDEX_SCHEMA, index.schema)
    rows = as_current(index, INDEX_SCHEMA).to_pylist()
    assert {row["caption"].split()[1] for row in rows} == {"red", "yellow"}
    for row in rows:
        assert dataset.read_picture(shard, row).startswith(b"\xff\xd8")
        assert row["found_by"] is None or isinstance(row["found_by"], list)
    for name, schema in (("rejections/00000", REJECTION_SCHEMA), ("queries", QUERY_SCHEMA)):
        table = read_table(old / f"{name}.parquet")
        assert is_of(schema, table.schema)
        assert as_current(table, schema).schema == schema


def test_what_was_dropped_is_told_by_status_and_report(old: Path) -> None:
    told = Counter(row["status"] for table in status_tables(old) for row in table.to_pylist())
    assert told == {"success": 2, "failed_to_resize": 1}
    assert "a red ball" in write_report(old).read_text()


def test_a_selection_from_an_earlier_dataset_is_of_this_version(old: Path, tmp_path: Path) -> None:
    source = open_dataset(old)
    (shard,) = source.manifest.shards
    judged = Judged(shard=shard, details=[None, "not wanted"])
    change = Change(kind="select", request={}, num_tried=2, num_gained=0, dropped={})
    write_selection(source, [judged], tmp_path / "new", "choice", "not_chosen", change)
    assert list(verify(tmp_path / "new", Options(deep=True))) == []
    manifest = read_manifest(tmp_path / "new")
    assert (manifest.schema_version, manifest.num_pairs) == (SCHEMA_VERSION, 1)


def test_an_earlier_dataset_is_written_anew_in_todays_columns(old: Path, tmp_path: Path) -> None:
    reshard(open_dataset(old), tmp_path / "new", pairs_per_shard=1)
    assert list(verify(tmp_path / "new", Options(deep=True))) == []
    new = open_dataset(tmp_path / "new")
    assert len(new.manifest.shards) == 2
    assert all(new.read_index(shard).schema.equals(INDEX_SCHEMA) for shard in new.manifest.shards)


def test_an_earlier_dataset_is_trained_from(old: Path, tmp_path: Path) -> None:
    from tests.tiny_train import tiny_config
    from train.config import DataConfig
    from train.loop import fit

    config = replace(tiny_config(data=DataConfig(batch_size=2, min_crop_share=0.5)), num_epochs=2)
    fit(config, old, tmp_path / "run")
    assert list((tmp_path / "run").glob("**/*.pt"))


def test_a_later_version_is_refused_by_its_number(old: Path) -> None:
    data = (old / "manifest.json").read_bytes()
    number = json.loads(data)["schema_version"]
    later = data.replace(b'"schema_version": %d' % number, b'"schema_version": 99')
    with pytest.raises(DatasetError, match="schema_version 99, this code reads 1 to"):
        manifest_from_bytes(later)


def test_one_search_of_the_first_version_becomes_a_list() -> None:
    nulls = {name: pa.nulls(2, INDEX_SCHEMA.field(name).type) for name in INDEX_SCHEMA.names}
    table = pa.table(nulls | {"found_by": pa.array(["cup", None])})
    assert as_current(table, INDEX_SCHEMA)["found_by"].to_pylist() == [["cup"], None]


def test_a_table_of_no_version_is_refused() -> None:
    index = pa.table({name: pa.nulls(1, INDEX_SCHEMA.field(name).type) for name in INDEX_SCHEMA.names})
    with pytest.raises(ValueError, match="the table lacks key, sha256"):
        as_current(index.drop_columns(["sha256", "key"]), INDEX_SCHEMA)
    assert not is_of(INDEX_SCHEMA, index.drop_columns(["sha256"]).schema)
    assert is_of(INDEX_SCHEMA, index.drop_columns(["etag"]).schema)
