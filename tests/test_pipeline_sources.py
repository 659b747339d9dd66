"""Sources: what they read, what they refuse, and a search API that answers every kind of nonsense."""

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiohttp import web

from filters.reasons import Reason
from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection
from pipeline.sample_web.commons_api import CommonsApi, CommonsFile
from pipeline.sample_web.server import Handler, Served, Web, serving
from pipeline.sources import Sources
from pipeline.sources.commons import Commons
from pipeline.sources.folder import Folder
from pipeline.sources.search import QUERIES_PER_UNIT
from pipeline.sources.table import Table

ROWS: list[dict[str, str | None]] = [
    {"url": "http://a.example/1.jpg", "caption": "a red cup", "licence": "CC0"},
    {"url": "http://a.example/2.jpg", "caption": 'a "blue", cup\nof tea', "licence": None},
]


def expected(file: str, first: int = 0) -> list[Candidate]:
    """The candidates of ROWS, which stand in `file` from row `first`."""
    return [
        Candidate(
            url=row["url"] or "",
            caption=row["caption"] or "",
            source="table",
            licence=row["licence"],
            source_file=file,
            source_offset=number,
        )
        for number, row in enumerate(ROWS, start=first)
    ]


NOWHERE = Network()
TERMS = [f"cup {number}" for number in range(1_000)]


def read_table(*paths: Path | str, **columns: Any) -> list[Candidate | Rejection]:
    table = Table(paths=tuple(map(str, paths)), **columns)
    return [record for unit in table.units([]) for record in table.read(unit, [], NOWHERE)]


def details(records: list[Candidate | Rejection]) -> list[str]:
    return [record.detail for record in records if isinstance(record, Rejection)]


# Tables


def as_csv(delimiter: str) -> bytes:
    lines = [delimiter.join(("url", "caption", "licence"))]
    for row in ROWS:
        quoted = (row["caption"] or "").replace('"', '""')
        lines.append(delimiter.join((row["url"] or "", f'"{quoted}"', row["licence"] or "")))
    return "\n".join(lines).encode()


def as_jsonl() -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in ROWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", as_csv(",")),
        ("a.tsv", as_csv("\t")),
        ("a.jsonl", as_jsonl()),
        ("a.csv.gz", gzip.compress(as_csv(","))),
        ("a.tsv.gz", gzip.compress(as_csv("\t"))),
        ("a.jsonl.gz", gzip.compress(as_jsonl())),
        ("a.b.jsonl", as_jsonl()),
        ("bom.csv", b"\xef\xbb\xbf" + as_csv(",")),
        ("bom.jsonl", b"\xef\xbb\xbf" + as_jsonl()),
        ("windows.csv", as_csv(",").replace(b'"\n', b'"\r\n')),
        ("my.tsv.csv", as_csv(",")),
    ],
)
def test_a_table_of_each_kind_gives_the_same_candidates(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_table(tmp_path / name) == expected(name)


def test_a_parquet_table_gives_the_same_candidates(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet") == expected("a.parquet")


def test_columns_may_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"URL": "http://a.example/1.jpg", "TEXT": "a cup", "p": "http://p"}')
    (found,) = read_table(tmp_path / "a.jsonl", url_column="URL", caption_column="TEXT", page_url_column="p")
    assert found == Candidate(
        url="http://a.example/1.jpg",
        caption="a cup",
        page_url="http://p",
        source="table",
        source_file="a.jsonl",
        source_offset=0,
    )


def test_a_folder_is_searched_for_tables_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b/1.csv", "a/2.csv", "a/10.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"url,caption\nhttp://{name},x\n")
    (tmp_path / "a/notes.txt").write_text("no table")
    found = [(record.url, record.source_file) for record in read_table(tmp_path)]
    assert found == [("http://a/10.csv", "10.csv"), ("http://a/2.csv", "2.csv"), ("http://b/1.csv", "1.csv")]


def test_a_row_without_url_or_caption_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,caption\nhttp://a.example/1.jpg,\n,a cup\nhttp://a.example/2.jpg\n")
    assert details(read_table(tmp_path / "a.csv")) == [
        "a.csv row 1 has no caption",
        "a.csv row 2 has no url",
        "a.csv row 3 has no caption",
    ]


def test_broken_lines_are_counted_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = [b'{"url": "http://a', b"[1, 2]", b"null", b"", b"\xff\xfe", as_jsonl()]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    records = read_table(tmp_path / "a.jsonl")
    assert details(records) == [f"a.jsonl row {number} has no url" for number in range(1, 6)]
    assert records[5:] == expected("a.jsonl", first=5)


def broken_gz(path: Path) -> None:
    lines = b"".join(b'{"url": "http://a.example/%d.jpg", "caption": "a cup"}\n' % n for n in range(20_000))
    whole = gzip.compress(lines)
    path.write_bytes(whole[: len(whole) // 2])


def false_gz(path: Path) -> None:
    path.write_bytes(as_jsonl())


def huge_cell(path: Path) -> None:
    path.write_text(f"url,caption\nhttp://a.example/1.jpg,{'x' * 200_000}\n")


def cut_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.jsonl.gz", broken_gz),
        ("a.jsonl.gz", false_gz),
        ("a.csv", huge_cell),
        ("a.parquet", cut_parquet),
        ("a.parquet", empty),
    ],
)
def test_a_file_that_breaks_off_keeps_what_came_before(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)
    *before, last = read_table(tmp_path / name)
    assert isinstance(last, Rejection)
    assert last.detail.startswith(f"{name} breaks off after row {len(before)}: ")
    assert all(isinstance(record, Candidate) for record in before)
    assert (len(before) > 1_000) is (write is broken_gz)


def test_an_empty_table_has_no_candidates(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"")
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert read_table(tmp_path / "a.csv", tmp_path / "a.jsonl") == []


@pytest.mark.parametrize("name", ["none.csv", "photo.png", "."])
def test_a_path_that_is_no_table_is_a_persons_mistake(tmp_path: Path, name: str) -> None:
    (tmp_path / "photo.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"is no table or folder with one; known endings: \.parquet"):
        read_table(tmp_path / name)


# Folders


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two pictures in folders of their class, one with a caption beside it; a secret outside."""
    root = tmp_path / "photos"
    for name in ("red_cup/1.jpg", "red_cup/2.PNG", "dog/3.webp"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    (root / "red_cup/1.txt").write_text(" a red cup on a table \n")
    (root / "dog/notes.md").write_text("no picture")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    return root


def read_folder(folder: Folder) -> list[Candidate | Rejection]:
    return [record for unit in folder.units([]) for record in folder.read(unit, [], NOWHERE)]


def test_a_caption_is_the_text_beside_the_picture_and_its_lack_is_told(photos: Path) -> None:
    records = read_folder(Folder(paths=(str(photos),)))
    expected = Candidate(
        url="folder:0/red_cup/1.jpg",
        caption="a red cup on a table",
        source="folder",
        source_file="photos/red_cup/1.jpg",
    )
    assert expected in records
    assert details(records) == ["no dog/3.txt beside it", "no red_cup/2.txt beside it"]


def test_a_template_makes_the_caption_from_the_folders_name(photos: Path) -> None:
    records = read_folder(Folder(paths=(str(photos),), templates=("a photo of a {}.", "one {}")))
    captions = {record.url: record.caption for record in records}
    assert captions["folder:0/dog/3.webp"] in ("a photo of a dog.", "one dog")
    assert captions["folder:0/red_cup/1.jpg"] in ("a photo of a red cup.", "one red cup")
    assert records == read_folder(Folder(paths=(str(photos),), templates=("a photo of a {}.", "one {}")))


def test_every_url_that_a_folder_gives_can_be_read_back(photos: Path) -> None:
    folder = Folder(paths=(str(photos),), templates=("a {}.",))
    for record in read_folder(folder):
        assert folder.owns(record.url)
        assert folder.read_bytes(record.url) == record.url.removeprefix("folder:0/").encode()


@pytest.mark.parametrize(
    "url",
    [
        "folder:0/../secret.jpg",
        "folder:0/../../../../../../../../etc/passwd",
        "folder:0//etc/passwd",
        "folder:0/dog/../../secret.jpg",
        "folder:1/dog/3.webp",
        "folder:-1/dog/3.webp",
        "folder:0",
        "folder:0/",
        "folder:",
        "folder:²/dog/3.webp",
        "folder:0/dog/\0",
        "folder:0/link.jpg",
        "folder:0/linked/secret.jpg",
        "folder:0/none.jpg",
        f"folder:0/{'x' * 5000}",
    ],
)
def test_nothing_outside_a_folder_is_ever_read(photos: Path, url: str) -> None:
    (photos / "link.jpg").symlink_to(photos.parent / "secret.jpg")
    (photos / "linked").symlink_to(photos.parent)
    assert Folder(paths=(str(photos),)).read_bytes(url) is None


def test_wrong_folders_and_templates_are_a_persons_mistake(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="none is not a folder"):
        Folder(paths=(str(tmp_path / "none"),)).units([])
    with pytest.raises(ValueError, match=r"must hold \{\} once"):
        Folder(templates=("a photo",))


# Search


def commons_file(number: int, **changed: str) -> CommonsFile:
    facts = {"mime": "image/jpeg", "description": f"<b>cup</b> number {number}"} | changed
    return CommonsFile(
        title=f"File:Cup {number}.jpg",
        url=f"http://img.sample.test/{number}.jpg",
        width_px=640,
        height_px=480,
        num_bytes=1_000,
        licence="CC0",
        licence_url="",
        artist="",
        mime=facts["mime"],
        description=facts["description"],
    )


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Web()) as served:
        yield served


def search(
    served: Served, answer: Handler, terms: tuple[str, ...] = ("cup",), **settings: int
) -> list[Candidate | Rejection]:
    """Ask `answer` as Commons for terms, and return the records of all units."""
    served.web.mount("api.sample.test", "/w/api.php", answer)
    commons = Commons(endpoint="http://api.sample.test/w/api.php", **settings)
    queries = [Query(query_id=number, text=term) for number, term in enumerate(terms)]
    network = Network(connect_to=served.connect_to, contact="tests")
    return [record for unit in commons.units(queries) for record in commons.read(unit, queries, network)]


def test_all_pages_are_read_in_the_order_of_the_search_up_to_the_limit(served: Served) -> None:
    api = CommonsApi([commons_file(number) for number in range(120)], hiccups=False)
    records = search(served, api.answer)
    assert [record.url for record in records] == [f"http://img.sample.test/{n}.jpg" for n in range(120)]
    assert records[7] == Candidate(
        url="http://img.sample.test/7.jpg",
        caption="<b>cup</b> number 7",
        source="commons",
        page_url="http://commons.sample.test/wiki/File:Cup_7.jpg",
        found_by="cup",
        licence="CC0",
        caption_origin="description",
    )
    assert len(search(served, api.answer, max_results_per_query=70)) == 70
    assert served.web.num_requests.total() == 3 + 2


def test_terms_are_cut_into_units_that_are_asked_in_series(served: Served) -> None:
    api = CommonsApi([commons_file(number) for number in range(3)], hiccups=False)
    terms = tuple(f"number {number}" for number in range(QUERIES_PER_UNIT + 1))
    found = [record.caption for record in search(served, api.answer, terms)]
    assert found == [f"<b>cup</b> number {number}" for number in range(3)]
    assert served.web.max_concurrent["api.sample.test"] == 1
    assert Sources().by_name()["commons"].units([Query(query_id=0, text="cup")]) == []


def test_a_server_that_is_busy_or_behind_is_asked_again(served: Served) -> None:
    api = CommonsApi([commons_file(number) for number in range(3)])
    # One term of each kind that the sample API refuses once: with 503, with maxlag and with 429.
    terms = tuple(next(t for t in TERMS if zlib.crc32(t.encode()) % 103 == kind) for kind in range(3))
    assert search(served, api.answer, terms) == []
    assert sorted(served.web.num_requests.values()) == [2, 2, 2]


def test_files_that_are_no_pictures_are_dropped_by_their_type(served: Served) -> None:
    api = CommonsApi([commons_file(1, mime="application/pdf"), commons_file(2)], hiccups=False)
    assert details(search(served, api.answer)) == ["application/pdf is not an image type"]


def saying(*bodies: str, status: int = 200, **headers: str) -> Handler:
    """A handler that says one body after the other, the last one for ever."""
    left = list(bodies)

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=left.pop(0) if len(left) > 1 else left[0], headers=named)

    return answer


PAGE = (
    '{"query": {"pages": [{"title": "File:A.jpg", "imageinfo": [{"url": "http://a", "mime": "image/png"}]}]}'
)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("<html>Wikimedia Error</html>", "the answer is not JSON"),
        ('{"query": {"pages": [{"ti', "the answer is not JSON"),
        ("", "the answer is not JSON"),
        ("[]", "the answer is not of the API's form"),
        ("null", "the answer is not of the API's form"),
        ('{"error": {"code": "badvalue", "info": "no such thing"}}', "badvalue: no such thing"),
        ('{"error": "internal"}', "the answer is not of the API's form"),
        ('{"query": []}', "the answer is not of the API's form"),
        ('{"query": {"pages": {"1": {}}}}', "the answer is not of the API's form"),
        ('{"query": {"pages": ["x"]}}', "the answer is not of the API's form"),
        ('{"query": {"pages": [{"imageinfo": ["x"]}]}}', "the answer is not of the API's form"),
        ('{"query": {"pages": [{"imageinfo": 7}]}}', "the answer is not of the API's form"),
        (f'{PAGE}, "continue": "x"}}', "the answer is not of the API's form"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_source_error(served: Served, body: str, detail: str) -> None:
    records = search(served, saying(body), max_tries=1)
    assert [(r.reason, r.detail) for r in records if isinstance(r, Rejection)] == [
        (Reason.SOURCE_ERROR, detail)
    ]


def test_half_an_answer_is_asked_for_again(served: Served) -> None:
    (found,) = search(served, saying('{"query": {"pa', PAGE + "}"), max_tries=2)
    assert isinstance(found, Candidate)
    assert found.caption == "A"


@pytest.mark.parametrize(
    ("status", "detail"), [(404, "status 404"), (403, "status 403"), (500, "status 500")]
)
def test_an_error_for_ever_is_given_up(served: Served, status: int, detail: str) -> None:
    records = search(served, saying("{}", status=status, Retry_After="0"), max_tries=2)
    assert details(records) == [detail]
    assert served.web.num_requests.total() <= 2


def test_lag_for_ever_is_given_up_after_the_last_try(served: Served) -> None:
    body = '{"error": {"code": "maxlag", "info": "Waiting"}}'
    assert details(search(served, saying(body, Retry_After="0"), max_tries=3)) == ["maxlag: Waiting"]
    assert served.web.num_requests.total() == 3


def test_one_term_that_fails_does_not_stop_the_others(served: Served) -> None:
    answers = saying('{"error": {"code": "badvalue", "info": "x"}}', PAGE + "}")
    first, second = search(served, answers, ("cup", "dog"))
    assert isinstance(first, Rejection)
    assert second.caption == "A"


def test_a_continuation_that_never_ends_is_cut_at_the_limit(served: Served) -> None:
    left = iter(range(10_000))

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        number = next(left)
        page = PAGE.replace("http://a", f"http://a/{number}")
        return web.Response(text=f'{page}, "continue": {{"gsroffset": {number}}}}}')

    assert len(search(served, answer, max_results_per_query=9)) == 9
    assert served.web.num_requests.total() == 9


def test_a_continuation_in_circles_or_without_results_ends(served: Served) -> None:
    *found, last = search(served, saying(f'{PAGE}, "continue": {{"gsroffset": 50}}}}'))
    assert len(found) == 2
    assert details([last]) == ["the same results again: no more pages are asked for"]
    assert search(served, saying('{"batchcomplete": true, "continue": {"gsroffset": 50}}')) == []
