"""The Croissant description of a dataset; mlcroissant itself reads one in test_peers_croissant.py."""

import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest

from manifests import columns, croissant
from manifests.__main__ import main
from manifests.croissant import Publication
from manifests.schema import INDEX_SCHEMA, QUERY_SCHEMA
from manifests.store import write_table
from tests.bare_datasets import pair, write_bare


def test_every_column_has_a_sentence() -> None:
    assert set(columns.INDEX) == set(INDEX_SCHEMA.names)
    assert set(columns.QUERIES) == set(QUERY_SCHEMA.names)


def test_files_are_listed_with_their_hashes_and_columns_as_fields(tmp_path: Path) -> None:
    dataset = write_bare(tmp_path, [[pair(1)], [pair(2)]])
    node = json.loads(croissant.croissant(dataset, Publication()))
    listed = {each["@id"]: each.get("sha256") for each in node["distribution"]}
    for name in ("manifest.json", "queries.parquet", "shards/00001.tar"):
        assert listed[name] == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    pairs = next(each for each in node["recordSet"] if each["@id"] == "pairs")
    assert [field["name"] for field in pairs["field"]] == [n for n in INDEX_SCHEMA.names if n != "scores"]


def test_of_many_shards_only_sets_are_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(croissant, "MAX_LISTED_SHARDS", 2)
    dataset = write_bare(tmp_path, [[pair(1)], [pair(2)], [pair(3)]])
    node = json.loads(croissant.croissant(dataset, Publication()))
    assert "shard-files" in {each["@id"] for each in node["distribution"]}
    assert [each["@id"] for each in node["recordSet"]] == ["pairs", "queries", "rejections"]


def test_what_the_publisher_says_is_in_it_and_nothing_that_nobody_says(tmp_path: Path) -> None:
    write_bare(tmp_path, [[pair(1)]])
    assert main(["croissant", str(tmp_path), "--licence", "https://example.org/terms"]) == 0
    node = json.loads((tmp_path / "croissant.json").read_bytes())
    assert node["license"] == "https://example.org/terms"
    assert not {"url", "citeAs", "creator"} & node.keys()


def test_fields_are_the_columns_that_a_table_has(tmp_path: Path) -> None:
    dataset = write_bare(tmp_path, [[pair(1)]])
    first_version = pa.table({"query_id": pa.array([0], pa.int32()), "text": ["thing"]})
    write_table(tmp_path / "queries.parquet", first_version)
    node = json.loads(croissant.croissant(dataset, Publication()))
    queries = next(each for each in node["recordSet"] if each["@id"] == "queries")
    assert [field["name"] for field in queries["field"]] == ["query_id", "text"]
