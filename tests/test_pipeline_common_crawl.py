"""The Common Crawl source: lists of files, near and far, what cannot be read, what becomes of its rows."""

import gzip
from pathlib import Path

import fsspec
import pyarrow.parquet as pq
import pytest

from filters.reasons import Reason
from pipeline.blocks import pack
from pipeline.crawl import UnitGroup, gather, read_units
from pipeline.limits import Network
from pipeline.match import drop_repeats
from pipeline.records import PAIR_SCHEMA, to_table
from pipeline.sources import Sources
from pipeline.sources.common_crawl import CommonCrawl
from tests.test_pipeline_crawl_files import IMAGE, as_file, wat_record

HTML = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    b"<a rel=license href=/by>x</a><img src=/b.jpg alt='A dog'>"
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "1.warc.wat.gz").write_bytes(as_file([wat_record([IMAGE])]))
    (tmp_path / "2.warc.gz").write_bytes(as_file([HTML], "response"))
    return tmp_path


def rows(source: CommonCrawl) -> tuple[list[tuple[str, str, str | None, str | None]], list[str]]:
    found, details = [], []
    for unit in source.units([]):
        blocks, rejections = gather(source.read(unit, [], Network()))
        found += [
            (row["url"], row["caption"], row["caption_origin"], row["licence"])
            for block in blocks
            for row in block.to_pylist()
        ]
        details += [rejection.detail for rejection in rejections]
        assert all(rejection.reason == Reason.SOURCE_ERROR for rejection in rejections)
    return found, details


CUP = ("https://a.example/a.jpg", "A cup", "alt", None)
DOG = ("https://a.example/b.jpg", "A dog", "alt", "https://a.example/by")


def test_files_of_both_kinds_are_read_in_the_order_of_their_list(files: Path) -> None:
    names = f"{files}/1.warc.wat.gz\n\n{files}/2.warc.gz\n"
    (files / "all.paths.gz").write_bytes(gzip.compress(names.encode()))
    (files / "all.paths").write_text(names)
    for name in ("all.paths.gz", "all.paths"):
        assert rows(CommonCrawl(paths=(str(files / name),))) == ([CUP, DOG], [])


def test_names_in_a_list_are_relative_to_the_prefix(files: Path) -> None:
    (files / "wat.paths").write_text("1.warc.wat.gz\n")
    source = CommonCrawl(paths=(str(files / "wat.paths"),), prefix=f"{files}/")
    assert rows(source) == ([CUP], [])
    assert CommonCrawl(paths=source.paths).files() == ["https://data.commoncrawl.org/1.warc.wat.gz"]


def test_a_file_behind_a_url_is_read_as_one_on_this_machine(files: Path) -> None:
    with fsspec.open("memory://crawl/1.warc.wat.gz", "wb") as far:
        far.write((files / "1.warc.wat.gz").read_bytes())
    assert rows(CommonCrawl(paths=("memory://crawl/1.warc.wat.gz",))) == ([CUP], [])


@pytest.mark.parametrize("path", ["memory://crawl/none.warc.gz", "none.warc.gz"])
def test_a_file_that_is_not_there_is_counted(files: Path, path: str) -> None:
    found = rows(CommonCrawl(paths=(str(files / "1.warc.wat.gz"), path)))
    assert found == ([CUP], ["none.warc.gz: there is no such file"])


def test_a_file_that_is_cut_gives_its_rows_and_is_counted(files: Path) -> None:
    content = as_file([wat_record([IMAGE])] * 2)
    (files / "1.warc.wat.gz").write_bytes(content[:-20])
    found, details = rows(CommonCrawl(paths=(str(files / "1.warc.wat.gz"),)))
    assert found[0] == CUP
    assert details == ["1.warc.wat.gz: its last record is cut short"]


def test_some_files_are_chosen_by_hash_in_their_order(files: Path) -> None:
    (files / "many.paths").write_text("\n".join(f"{number}.wat.gz" for number in range(50)))
    source = CommonCrawl(paths=(str(files / "many.paths"),), prefix="x/", max_files=5)
    chosen = source.files()
    assert len(chosen) == 5
    assert chosen == sorted(chosen, key=lambda name: int(name.split("/")[1].split(".")[0]))
    assert set(chosen) < set(CommonCrawl(paths=source.paths, prefix="x/", max_files=9).files())


def test_wrong_paths_are_a_persons_mistake(files: Path) -> None:
    with pytest.raises(ValueError, match=r"page\.html is no \.wat or \.warc file"):
        CommonCrawl(paths=("page.html",)).units([])
    with pytest.raises(ValueError, match="cannot be read as a list of files"):
        CommonCrawl(paths=(str(files / "none.paths.gz"),)).units([])
    (files / "bad.paths.gz").write_bytes(b"no gzip")
    with pytest.raises(ValueError, match="cannot be read as a list of files"):
        CommonCrawl(paths=(str(files / "bad.paths.gz"),)).units([])
    with pytest.raises(ValueError, match=r"common-crawl\.max-files must be >= 1, not 0"):
        CommonCrawl(max_files=0)


def test_a_unit_becomes_a_part_of_candidates(files: Path, tmp_path: Path) -> None:
    sources = Sources(common_crawl=CommonCrawl(paths=(str(files / "2.warc.gz"),)))
    read_units(UnitGroup("common_crawl", ("000000",)), sources, [], Network(), tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out/common_crawl-000000.parquet").to_pylist()
    assert (row["source"], row["page_url"], row["found_by"]) == (
        "common_crawl",
        "https://a.example/news/page.html",
        None,
    )


def test_a_pair_keeps_all_searches_that_found_it(tmp_path: Path) -> None:
    pairs = [
        {"pair_id": "1", "url": "http://a", "caption": "a cup", "source": "commons", "found_by": [term]}
        for term in ("cup", "bowl", "cup")
    ]
    other = {"pair_id": "2", "url": "http://b", "caption": "a dog", "source": "table", "found_by": None}
    drop_repeats((0, [pack(to_table([*pairs, other], PAIR_SCHEMA))]), tmp_path)
    kept = pq.read_table(tmp_path / "00000.parquet").to_pylist()
    assert [row["found_by"] for row in kept] == [["bowl", "cup"], None]
    assert [row["url"] for row in kept] == ["http://a", "http://b"]


def test_all_captions_of_a_picture_are_candidates_with_their_origin(tmp_path: Path) -> None:
    page = (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
        b"<meta property=og:image content=/a.jpg><meta property=og:title content='Cups'>"
        b"<figure><img src=/a.jpg alt='A cup' title='Mine'><figcaption>A red cup</figcaption></figure>"
        b'<script type="application/ld+json">{"@type": "ImageObject", "url": "/a.jpg", "caption": "My cup"}'
    )
    (tmp_path / "1.warc.gz").write_bytes(as_file([page, page], "response"))
    found, _ = rows(CommonCrawl(paths=(str(tmp_path / "1.warc.gz"),)))
    expected = [("A cup", "alt"), ("Mine", "title"), ("A red cup", "figcaption"), ("Cups", "og")]
    assert [(caption, origin) for _, caption, origin, _ in found] == [*expected, ("My cup", "json-ld")] * 2


def test_of_several_captions_of_a_picture_the_one_from_the_best_place_is_kept(tmp_path: Path) -> None:
    places = ["figcaption", "alt", "json-ld", "title", "og"]
    pairs = [
        {
            "pair_id": str(9 - rank),
            "url": "http://a",
            "caption": place,
            "source": "s",
            "caption_origin": place,
        }
        for rank, place in enumerate(places)
    ]
    for number, place in enumerate(places):
        for order in (pairs[number:], pairs[number:][::-1]):
            drop_repeats((0, [pack(to_table(order, PAIR_SCHEMA))]), tmp_path)
            kept = pq.read_table(tmp_path / "00000.parquet")
            assert kept["caption_origin"].to_pylist() == [place]


@pytest.mark.parametrize("place", ["description", None])
def test_captions_of_like_places_are_told_apart_by_their_pairs(tmp_path: Path, place: str | None) -> None:
    pairs = [
        {"pair_id": pair_id, "url": "http://a", "caption": "x", "source": "s", "caption_origin": origin}
        for pair_id, origin in (("1", place), ("2", "alt"), ("0", "title"))
    ]
    drop_repeats((0, [pack(to_table(pairs, PAIR_SCHEMA))]), tmp_path)
    assert pq.read_table(tmp_path / "00000.parquet")["pair_id"].to_pylist() == ["1"]
