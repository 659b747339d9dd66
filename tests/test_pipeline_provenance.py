"""Where a pair was found: the record of a crawl file, the row of a table, the file of a folder."""

import doctest
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastwarc.warc import ArchiveIterator

from pipeline.crawl import gather
from pipeline.limits import Network
from pipeline.sources import Source, Sources, names
from pipeline.sources.common_crawl import CommonCrawl
from pipeline.sources.commons import Commons
from pipeline.sources.folder import Folder
from pipeline.sources.names import names_of
from pipeline.sources.table import Table
from tests.test_pipeline_crawl_files import IMAGE, as_file, wat_record

HTML = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<img src=/%d.jpg alt='A dog, %d'>"


def rows(source: Source) -> list[dict[str, object]]:
    """All candidates of a source."""
    blocks = [block for unit in source.units([]) for block in gather(source.read(unit, [], Network()))[0]]
    found: list[dict[str, object]] = pa.concat_tables(blocks).to_pylist()
    return found


def wat_of(number: int) -> bytes:
    return wat_record([{**IMAGE, "alt": f"A cup, {number}"}, {**IMAGE, "url": "/b.jpg", "alt": "Two"}])


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("kind", ["metadata", "response"])
def test_a_record_lies_at_the_offset_that_its_pictures_say(tmp_path: Path, kind: str, packed: bool) -> None:
    is_wat = kind == "metadata"
    contents = [wat_of(number) if is_wat else HTML % (number, number) for number in range(20)]
    data = as_file(contents, kind)
    path = tmp_path / f"1.{'warc.wat' if is_wat else 'warc'}{'.gz' if packed else ''}"
    path.write_bytes(data if packed else gzip.decompress(data))
    found = rows(CommonCrawl(paths=(str(path),)))
    assert len(found) == 20 * (2 if is_wat else 1)
    for row in found:
        assert row["source_file"] == path.name
        file = io.BytesIO(path.read_bytes()[int(str(row["source_offset"])) :])
        record = next(iter(ArchiveIterator(file, parse_http=False)))
        assert str(row["caption"]).encode() in record.reader.read()


def test_a_row_of_a_table_is_the_one_that_its_offset_says(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        table = [{"url": f"http://{folder}/{n}.jpg", "caption": f"cup {n}"} for n in range(12)]
        (tmp_path / folder).mkdir()
        pq.write_table(pa.Table.from_pylist(table), tmp_path / folder / "urls.parquet", row_group_size=5)
    source = Table(paths=(str(tmp_path / "one"), str(tmp_path / "two")))
    assert source.places() == ["one/urls.parquet", "two/urls.parquet"]
    for row in rows(source):
        table = pq.read_table(tmp_path / str(row["source_file"]))
        assert table["url"].to_pylist()[row["source_offset"]] == row["url"]


def test_a_picture_of_a_folder_is_named_below_it(tmp_path: Path) -> None:
    (tmp_path / "photos" / "cats").mkdir(parents=True)
    (tmp_path / "photos" / "cats" / "1.jpg").write_bytes(b"picture")
    source = Folder(paths=(str(tmp_path / "photos"),), templates=("a {}",))
    (row,) = rows(source)
    assert (row["source_file"], row["source_offset"]) == ("photos/cats/1.jpg", None)
    assert source.places() == ["photos"]


def test_names_tell_files_apart_and_not_where_they_lie() -> None:
    assert doctest.testmod(names).failed == 0
    assert names_of(["/a/x.csv", "x.csv", "/a/x.csv", "/b/a/x.csv"]) == [
        "/a/x.csv",
        "x.csv",
        "/a/x.csv",
        "b/a/x.csv",
    ]


def test_a_source_that_is_off_has_no_places_and_all_say_what_is_known_of_licences() -> None:
    for source in Sources().by_name().values():
        assert source.places() == []
        assert source.licence
    assert Commons(endpoint="https://c.test/api.php").places() == ["https://c.test/api.php"]
