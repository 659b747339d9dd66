"""docs/format.md says what the schemas say, of every column and field; its examples run."""

import dataclasses
import os
import re
import subprocess
import sys
import tarfile
import typing
from pathlib import Path
from types import NoneType, UnionType

import pyarrow as pa
import pytest

from manifests import schema
from manifests.__main__ import main
from manifests.schema import (
    COVERAGE_SCHEMA,
    FETCH_TIME_SCHEMA,
    INDEX_SCHEMA,
    QUERY_SCHEMA,
    REJECTION_SCHEMA,
    SAMPLE_SCHEMA,
    SCHEMA_VERSION,
)
from manifests.store import open_dataset

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "format.md").read_text()
PEERS = ROOT / ".venv-peers" / "bin" / "python"
TABLES = {
    "index": INDEX_SCHEMA,
    "fetch_times": FETCH_TIME_SCHEMA,
    "rejections": REJECTION_SCHEMA,
    "samples": pa.schema([field for field in SAMPLE_SCHEMA if field.name not in REJECTION_SCHEMA.names]),
    "queries": QUERY_SCHEMA,
    "coverage": COVERAGE_SCHEMA,
}
RECORDS = ("Manifest", "StageCount", "FileRecord", "Shard", "Change", "SourceRecord", "Dates")
JSON_TYPES = {str: "string", int: "integer", dict: "object"}
EXAMPLES: list[str] = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def told(table: str) -> list[tuple[str, str]]:
    """The names and types that the document's table of this name gives, in order."""
    (rows,) = re.findall(rf"^\| {table} \| type \|.*\n\|[-|]+\n((?:\|.*\n)+)", DOCUMENT, re.MULTILINE)
    cells = [[cell.strip() for cell in row.split(" | ")] for row in rows.splitlines()]
    return [(row[0].removeprefix("| ").strip("`"), row[1]) for row in cells]


def json_type(annotation: typing.Any) -> str:
    """What a dataclass's field is in JSON."""
    if isinstance(annotation, UnionType):
        kinds = [kind for kind in annotation.__args__ if kind is not NoneType]
        return f"{json_type(kinds[0])} or null"
    if typing.get_origin(annotation) is tuple:
        return f"array of {json_type(typing.get_args(annotation)[0])}"
    plain = typing.get_origin(annotation) or annotation
    return JSON_TYPES.get(plain, getattr(plain, "__name__", ""))


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_named_with_its_type(table: str) -> None:
    assert told(table) == [(field.name, str(field.type)) for field in TABLES[table]]


@pytest.mark.parametrize("name", RECORDS)
def test_every_field_of_the_manifest_is_named_with_its_type(name: str) -> None:
    record = getattr(schema, name)
    types = typing.get_type_hints(record)
    assert told(name) == [(field.name, json_type(types[field.name])) for field in dataclasses.fields(record)]


def test_each_record_of_the_schema_is_one_of_these_and_the_version_is_named() -> None:
    records = {name for name, found in vars(schema).items() if dataclasses.is_dataclass(found)}
    assert records == set(RECORDS)
    assert f"This is version {SCHEMA_VERSION}." in DOCUMENT
    assert f"\n| {SCHEMA_VERSION} | nothing |" in DOCUMENT


def test_every_kind_of_file_of_a_dataset_is_told(dataset: Path) -> None:
    for file in open_dataset(dataset).manifest.files:
        assert file.path in DOCUMENT


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    with tarfile.open(ROOT / f"tests/fixtures/datasets/v{SCHEMA_VERSION}.tar.xz") as tar:
        tar.extractall(tmp_path / "dataset", filter="data")
    return tmp_path / "dataset"


def example(library: str, dataset: Path) -> str:
    """The document's example that imports this, for a dataset."""
    (found,) = (code for code in EXAMPLES if f"import {library}\n" in code)
    return found.replace("DATASET", str(dataset))


def run_example(python: Path | str, code: str, dataset: Path) -> None:
    environment = os.environ | {"HF_HOME": str(dataset.parent / "cache"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([python, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_example_for_duckdb_runs(dataset: Path) -> None:
    found: dict[str, typing.Any] = {}
    exec(example("duckdb", dataset), found)
    assert len(found["pairs"].fetchall()) == 2
    assert [len(urls) for _, urls in found["copies"].fetchall()] == [1]
    assert found["estimate"].fetchall() == [("folder", 2.0)]
    assert found["when"].fetchall() == [(None, None)]


def test_the_example_for_our_own_reader_runs(dataset: Path) -> None:
    (code,) = (code for code in EXAMPLES if "open_dataset" in code)
    found: dict[str, typing.Any] = {}
    exec(code.replace("DATASET", str(dataset)), found)
    assert found["picture"].startswith(b"\xff\xd8")


def test_the_example_for_webdataset_runs(dataset: Path) -> None:
    code = example("webdataset", dataset) + "\nassert caption == facts['caption'] and picture"
    run_example(sys.executable, code, dataset)


@pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers: make peers")
def test_the_example_for_hugging_face_and_pandas_runs_with_a_data_card(dataset: Path) -> None:
    assert main(["card", str(dataset)]) == 0
    checked = "\nassert len(rows) == 2 and 'dark floor' in first, (rows, first)"
    run_example(PEERS, example("pandas", dataset) + checked, dataset)
