"""The search API: paging, errors and hiccups as the real one has them."""

from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from pipeline.sample_web.commons_api import ApiError, CommonsApi, CommonsFile
from pipeline.sample_web.server import Web, serving

BASE = {"action": "query", "format": "json", "formatversion": "2", "generator": "search", "gsrnamespace": "6"}


def file(number: int, what: str = "Red umbrella", description: str | None = None) -> CommonsFile:
    return CommonsFile(
        title=f"File:{what} {number:03d}.jpg",
        url=f"http://upload.sample.test/{number}.jpg",
        width_px=320,
        height_px=240,
        num_bytes=1000 + number,
        mime="image/jpeg",
        description=description,
        licence="CC0",
        licence_url="",
        artist="A. Example",
    )


def query(api: CommonsApi, term: str, **more: str) -> dict[str, Any]:
    return api.query(
        {**BASE, "gsrsearch": term, "prop": "imageinfo", "iiprop": "url|size|mime|extmetadata", **more}
    )


def titles(answer: dict[str, Any]) -> list[str]:
    pages = answer.get("query", {}).get("pages", [])
    return [page["title"] for page in sorted(pages, key=lambda page: page["index"])]


def test_paging_returns_every_file_once() -> None:
    api = CommonsApi([file(number) for number in range(120)])
    found, position = [], dict[str, str]()
    while True:
        answer = query(api, "umbrella", gsrlimit="50", **position)
        found += titles(answer)
        if "continue" not in answer:
            break
        assert answer["continue"]["continue"] == "gsroffset||"
        position = {name: str(value) for name, value in answer["continue"].items()}
    assert found == [file(number).title for number in range(120)]


def test_all_words_must_occur_in_title_or_description_in_singular_or_plural() -> None:
    api = CommonsApi([file(1), file(2, "Scan", "Two <b>red umbrellas</b>"), file(3, "Blue umbrella")])
    assert titles(query(api, "red umbrella")) == ["File:Red umbrella 001.jpg", "File:Scan 002.jpg"]
    assert len(titles(query(api, "Umbrellas"))) == 3
    assert "query" not in query(api, "red car")


def test_a_file_is_described_as_asked() -> None:
    api = CommonsApi([file(1, description="<p>A red umbrella</p>")])
    (page,) = query(api, "umbrella")["query"]["pages"]
    (info,) = page["imageinfo"]
    assert (info["url"], info["width"], info["size"], info["mime"]) == (
        "http://upload.sample.test/1.jpg",
        320,
        1001,
        "image/jpeg",
    )
    assert info["extmetadata"]["ImageDescription"]["value"] == "<p>A red umbrella</p>"
    assert "LicenseUrl" not in info["extmetadata"]
    (page,) = query(api, "umbrella", iiprop="mime")["query"]["pages"]
    assert page["imageinfo"] == [{"mime": "image/jpeg"}]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"action": "fly"}, "badvalue"),
        ({"generator": "magic"}, "badvalue"),
        ({"format": "xml"}, "badvalue"),
        ({"gsrsearch": " "}, "missingparam"),
        ({"gsroffset": "-1"}, "badinteger"),
        ({"gsrlimit": "many"}, "badinteger"),
    ],
)
def test_a_bad_parameter_is_an_error_with_its_code(changes: dict[str, str], code: str) -> None:
    with pytest.raises(ApiError) as caught:
        CommonsApi([]).query({**BASE, "gsrsearch": "cup", **changes})
    assert caught.value.code == code


def test_a_limit_out_of_range_is_cut_with_a_warning() -> None:
    answer = query(
        CommonsApi([file(number) for number in range(60)]), "umbrella", gsrlimit="51", colour="red"
    )
    assert len(titles(answer)) == 50
    assert answer["warnings"] == {
        "main": {"warnings": "Unrecognized parameter: colour."},
        "search": {"warnings": 'The value "51" for parameter "gsrlimit" must be between 1 and 50.'},
    }


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    web = Web()
    web.mount("commons.sample.test", "/w/api.php", CommonsApi([file(1)]).answer)
    with serving(web) as served:
        yield served.port


async def ask(port: int, term: str, agent: str = "tester", **more: str) -> tuple[int, dict[str, str], str]:
    headers = {"Host": "commons.sample.test", "User-Agent": agent}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(
            f"http://127.0.0.1:{port}/w/api.php", params={**BASE, "gsrsearch": term, "maxlag": "5", **more}
        ) as response,
    ):
        return response.status, dict(response.headers), await response.text()


async def test_some_terms_are_refused_once_each_in_its_way_and_then_answered(port: int) -> None:
    refusals = set()
    for number in range(300):
        status, headers, text = await ask(port, f"term {number}")
        if status != 200 or "error" in text:
            refusals.add((status, headers.get("MediaWiki-API-Error"), headers["Retry-After"]))
            status, _, text = await ask(port, f"term {number}")
        assert status == 200 and "batchcomplete" in text
    assert refusals == {(503, None, "1"), (200, "maxlag", "1"), (429, "ratelimited", "1")}


async def test_errors_come_with_status_200_and_a_header(port: int) -> None:
    status, headers, text = await ask(port, "cup", gsroffset="x")
    assert (status, headers["MediaWiki-API-Error"]) == (200, "badinteger")
    assert '"code": "badinteger"' in text


async def test_who_does_not_say_who_he_is_is_refused(port: int) -> None:
    assert (await ask(port, "cup", agent=""))[0] == 403
