"""Lists of search terms in both forms, and their origins in a dataset."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.records import Query
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from pipeline.terms import read_terms
from tests.fakes import make_picture

ROWS = {
    "text": ["cup", "red cup", "Red-Cup", "!", "dog"],
    "origin": ["word", "bigram", "title", "title", "synset"],
}
READ = [
    Query(query_id=0, text="cup", origin="word"),
    Query(query_id=1, text="red cup", origin="bigram"),
    Query(query_id=2, text="dog", origin="synset"),
]


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    pq.write_table(pa.table(ROWS), tmp_path / "terms.parquet")
    return tmp_path / "terms.parquet"


def test_a_list_keeps_the_origin_of_each_term(terms: Path) -> None:
    assert read_terms(terms) == READ


def test_a_text_file_and_a_list_without_origins_are_given(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("cup\nred cup\ndog\n")
    pq.write_table(pa.table({"text": ["cup", "red cup", "dog"]}), tmp_path / "terms.parquet")
    given = [Query(query_id=query.query_id, text=query.text, origin="given") for query in READ]
    assert read_terms(tmp_path / "terms.txt") == read_terms(tmp_path / "terms.parquet") == given


WRONG = [
    (pa.table({"term": ["cup"]}), "has no column text; it has term"),
    (pa.table({"text": ["", None]}), "holds no search term"),
]


@pytest.mark.parametrize(("table", "said"), WRONG)
def test_a_table_that_is_no_list_is_refused(table: pa.Table, said: str, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "terms.parquet")
    with pytest.raises(ValueError, match=said):
        read_terms(tmp_path / "terms.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "terms.parquet").write_text("cup\n")
    with pytest.raises(ValueError, match="is no parquet file"):
        read_terms(tmp_path / "terms.parquet")


def test_origins_stand_in_the_dataset(terms: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/0.jpg").write_bytes(make_picture(0))
    (tmp_path / "photos/0.txt").write_text("a red cup on a table in the garden")
    config = BuildConfig(
        queries=str(terms), sources=Sources(folder=Folder(paths=(str(tmp_path / "photos"),)))
    )
    build(config, RunOptions(dataset=tmp_path / "dataset", quiet=True))
    rows = pq.read_table(tmp_path / "dataset/queries.parquet").to_pylist()
    assert [(row["text"], row["origin"], row["num_matched"]) for row in rows] == [
        ("cup", "word", 1),
        ("red cup", "bigram", 1),
        ("dog", "synset", 0),
    ]
