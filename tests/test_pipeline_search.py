"""Search services: their pages and refusals, their credentials, and that a kill loses and repeats nothing."""

import asyncio
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from pipeline.crawl import UnitGroup, read_units
from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection
from pipeline.sample_web.commons_api import CommonsApi, CommonsFile
from pipeline.sample_web.server import Handler, Served, Web, serving
from pipeline.sources import Sources
from pipeline.sources.commons import Commons
from pipeline.sources.journal import Journal, Page
from pipeline.sources.openverse import Openverse
from pipeline.sources.search import QUERIES_PER_UNIT
from pipeline.sources.searxng import Searxng
from tests.search_servers import CLIENT_ID, CLIENT_SECRET, OPENVERSE, SEARXNG, TOKEN, OpenverseApi, SearxngApi

COMMONS = "http://commons.sample.test/w/api.php"
QUICK: dict[str, Any] = {"interval_s": 0.0, "max_tries": 2}
SERVICES: dict[str, Any] = {
    "commons": Commons(endpoint=COMMONS, **QUICK),
    "openverse": Openverse(endpoint=OPENVERSE, **QUICK),
    "searxng": Searxng(endpoint=SEARXNG, **QUICK),
}


@pytest.fixture
def served() -> Iterator[Served]:
    with serving(Web()) as served:
        yield served


def mount(served: Served, service: Any, answer: Handler) -> None:
    parts = urlsplit(service.endpoint)
    served.web.mount(parts.hostname or "", parts.path, answer)


def search(
    served: Served, service: Any, answer: Handler, *terms: str, journal: Path | None = None
) -> list[Candidate | Rejection]:
    mount(served, service, answer)
    queries = [Query(query_id=number, text=term) for number, term in enumerate(terms or ("cup",))]
    network = Network(connect_to=served.connect_to, contact="tests", journal=journal)
    return [record for unit in service.units(queries) for record in service.read(unit, queries, network)]


def details(records: list[Candidate | Rejection]) -> list[str]:
    return [record.detail for record in records if isinstance(record, Rejection)]


def saying(*bodies: str, status: int = 200, **headers: str) -> Handler:
    """A handler that says one body after the other, the last one for ever."""
    left = list(bodies)

    async def answer(_request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(status=status, text=left.pop(0) if len(left) > 1 else left[0], headers=named)

    return answer


# Openverse


def test_openverse_gives_every_page_with_licence_and_author(served: Served) -> None:
    records = search(served, SERVICES["openverse"], OpenverseApi().answer)
    assert [record.caption for record in records] == [f"cup {place}" for place in range(45)]
    assert records[1] == Candidate(
        url="https://img.sample.test/cup/1.jpg",
        caption="cup 1",
        source="openverse",
        page_url="https://photos.sample.test/1",
        found_by="cup",
        licence="CC BY-SA 4.0",
        author="A. Example",
        caption_origin="title",
    )
    assert isinstance(records[0], Candidate)
    assert (records[0].licence, records[0].author) == ("CC0 1.0", None)
    assert served.web.num_requests.total() == 3


def test_openverse_is_not_asked_for_more_than_is_wanted(served: Served) -> None:
    service = replace(SERVICES["openverse"], max_results_per_query=30)
    assert len(search(served, service, OpenverseApi().answer)) == 30
    assert served.web.num_requests.total() == 2


def test_what_openverse_says_to_a_page_that_is_too_large_is_told(served: Served) -> None:
    records = search(served, replace(SERVICES["openverse"], page_size=50), OpenverseApi().answer)
    expected = "status 401: Page size must be between 1 & 20 for unauthenticated requests."
    assert details(records) == [expected]


def test_a_throttled_search_waits_as_it_is_told(served: Served) -> None:
    assert len(search(served, SERVICES["openverse"], OpenverseApi(num_refusals=1).answer)) == 45


def test_credentials_come_from_the_environment_and_go_nowhere_else(
    served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api = OpenverseApi()
    served.web.mount("openverse.sample.test", "/v1/auth_tokens/token/", api.give_token)
    monkeypatch.setenv("OPENVERSE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("OPENVERSE_CLIENT_SECRET", CLIENT_SECRET)
    service = replace(SERVICES["openverse"], page_size=50)
    records = search(served, service, api.answer, journal=tmp_path / "journal")
    assert len(records) == 45
    assert (api.authorizations, api.num_tokens) == ({f"Bearer {TOKEN}"}, 1)
    written = (tmp_path / "journal").read_text() + repr(service) + repr(records)
    assert TOKEN not in written and CLIENT_SECRET not in written


def test_credentials_that_are_refused_stop_the_search_without_telling_them(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = OpenverseApi()
    served.web.mount("openverse.sample.test", "/v1/auth_tokens/token/", api.give_token)
    monkeypatch.setenv("OPENVERSE_CLIENT_ID", CLIENT_ID)
    monkeypatch.setenv("OPENVERSE_CLIENT_SECRET", "wrong-secret")
    with pytest.raises(OSError, match="openverse gave no token for OPENVERSE_CLIENT_ID") as caught:
        search(served, SERVICES["openverse"], api.answer)
    assert "wrong-secret" not in str(caught.value)


def test_a_token_does_not_follow_a_redirect(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    async def elsewhere(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.Response(text="{}")

    served.web.mount("other.sample.test", "/", elsewhere)
    monkeypatch.setenv("SEARXNG_TOKEN", TOKEN)
    away = saying("", status=302, Location="http://other.sample.test/")
    assert details(search(served, SERVICES["searxng"], away)) == ["more than 0 redirects"]
    assert seen == []


# SearXNG


def test_searxng_is_read_until_its_engines_repeat_themselves(served: Served) -> None:
    records = search(served, SERVICES["searxng"], SearxngApi().answer)
    titles = [r.caption for r in records if isinstance(r, Candidate) and r.caption_origin == "title"]
    assert titles[:45] == [f"cup {place}" for place in range(45)]
    assert details(records) == []
    assert served.web.num_requests.total() == 4


def test_a_result_of_searxng_gives_title_and_description(served: Served) -> None:
    records = search(served, SERVICES["searxng"], SearxngApi(num_results=2).answer)
    assert [(r.caption, r.caption_origin) for r in records[:3] if isinstance(r, Candidate)] == [
        ("cup 0", "title"),
        ("cup 1", "title"),
        ("a photo of a cup, number 1", "description"),
    ]
    assert records[0].url == "https://img.sample.test/cup/0.jpg"


def test_searxng_without_json_says_what_to_set(served: Served) -> None:
    records = search(served, SERVICES["searxng"], SearxngApi(formats=("html",)).answer)
    assert details(records) == [
        "status 403: does settings.yml of the instance have json among search.formats?"
    ]


def test_engines_that_do_not_answer_are_no_empty_result(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = SearxngApi(num_results=0, unresponsive=[("bing images", "CAPTCHA")])
    records = search(served, replace(SERVICES["searxng"], max_tries=1), api.answer)
    assert details(records) == ["no results, and these engines did not answer: bing images (CAPTCHA)"]


# Commons: the rest of it is in test_pipeline_sources


def wiki_page(**info: object) -> str:
    values = {
        "ImageDescription": {"value": "A <b>red</b> cup"},
        "Artist": {"value": '<a href="//x">Ann &amp; Ben</a>'},
        "LicenseShortName": {"value": "CC BY 4.0"},
    }
    picture = {"url": "http://a/o.jpg", "mime": "image/jpeg", "width": 4000, "extmetadata": values} | info
    pages = [{"title": "File:A.jpg", "imageinfo": [picture]}]
    return web.json_response({"query": {"pages": pages}}).text or ""


RENDITION = {"thumburl": "http://a/t.jpg", "thumbwidth": 800, "thumbmime": "image/jpeg"}


@pytest.mark.parametrize(
    ("info", "url"),
    [
        (RENDITION, "http://a/t.jpg"),
        ({**RENDITION, "thumbwidth": 4000}, "http://a/o.jpg"),
        ({**RENDITION, "width": 640, "thumbwidth": 640}, "http://a/o.jpg"),
        ({}, "http://a/o.jpg"),
    ],
)
def test_a_rendition_is_taken_where_the_original_is_wider(
    served: Served, info: dict[str, object], url: str
) -> None:
    service = replace(SERVICES["commons"], rendition_width_px=800)
    (found,) = search(served, service, saying(wiki_page(**info)))
    assert isinstance(found, Candidate)
    assert (found.url, found.author, found.caption_origin) == (url, "Ann & Ben", "description")
    assert all("iiurlwidth=800" in asked for asked in served.web.num_requests)


# What any server may do


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("<html>Welcome</html>", "the answer is not JSON"),
        ('{"results": [{"url": "htt', "the answer is not JSON"),
        ("", "the answer is not JSON"),
        ("[1]", "the answer is not of the API's form"),
        ('{"results": 7, "page_count": 1, "query": 7}', "the answer is not of the API's form"),
        (
            '{"results": ["x"], "page_count": 1, "query": {"pages": ["x"]}}',
            "the answer is not of the API's form",
        ),
    ],
)
def test_nonsense_is_a_counted_error(served: Served, name: str, body: str, detail: str) -> None:
    assert details(search(served, replace(SERVICES[name], max_tries=1), saying(body))) == [detail]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_is_busy_for_ever_is_given_up_for_each_term(
    served: Served, name: str, status: int
) -> None:
    records = search(served, SERVICES[name], saying("", status=status, Retry_After="0"), "cup", "dog")
    assert details(records) == [f"status {status}"] * 2
    assert served.web.num_requests.total() == 4


@pytest.mark.parametrize("name", SERVICES)
def test_a_pause_that_is_too_long_is_not_waited_for(served: Served, name: str) -> None:
    service = replace(SERVICES[name], max_retry_after_s=10)
    assert details(search(served, service, saying("", status=429, Retry_After="3600"))) == ["status 429"]


def endless(name: str) -> Handler:
    """A server whose every page says that there is another one, with other results."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        number = sum(int(request.query.get(key, 0)) for key in ("page", "pageno", "gsroffset"))
        picture = {"url": f"http://a/{number}", "img_src": f"http://a/{number}", "title": "x"}
        pages = [{"title": "File:A.jpg", "imageinfo": [picture | {"mime": "image/png"}]}]
        return web.json_response(
            {
                "results": [picture],
                "page_count": 1_000_000,
                "query": {"pages": pages},
                "continue": {"gsroffset": number + 1},
            }
        )

    return answer


@pytest.mark.parametrize("name", SERVICES)
def test_a_continuation_without_end_is_cut_at_the_limit(served: Served, name: str) -> None:
    service = replace(SERVICES[name], max_results_per_query=9)
    assert len(search(served, service, endless(name))) == 9
    assert served.web.num_requests.total() == 9


@pytest.mark.parametrize("changed", [{"max_tries": 0}, {"max_results_per_query": 0}, {"interval_s": -1}])
@pytest.mark.parametrize("name", SERVICES)
def test_settings_that_cannot_be_are_refused(name: str, changed: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=rf"{name}\.[a-z-]+ must be >= "):
        replace(SERVICES[name], **changed)


def test_an_endpoint_that_is_no_url_is_refused() -> None:
    with pytest.raises(ValueError, match=r"openverse\.endpoint must be an http or https URL"):
        Openverse(endpoint="api.openverse.org")


# The journal


def test_a_line_that_a_kill_cut_in_two_is_left_out_and_overwritten(tmp_path: Path) -> None:
    first = Page([Candidate(url="http://a", caption="ä", source="x")], {"page": "2"})
    path = tmp_path / "journal"
    with Journal.opened(path) as journal:
        journal.write("cup", first)
    with path.open("ab") as file:
        file.write(b'{"term": "cup", "fou')
    with Journal.opened(path) as journal:
        assert journal.pages("cup") == (first,)
        journal.write("cup", Page([], {}))
    with Journal.opened(path) as journal:
        assert journal.pages("cup") == (first, Page([], {}))


# Kills

TERMS = [f"cup {number}" for number in range(QUERIES_PER_UNIT + 4)]


@dataclass
class Killing:
    """A service that kills who asks it, at chosen requests, instead of answering."""

    inner: Handler
    kill_at: set[int]
    victim: int = 0
    num_asked: int = 0
    answered: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.num_asked += 1
        if self.num_asked in self.kill_at:
            os.kill(self.victim, signal.SIGKILL)
            raise asyncio.CancelledError
        self.answered[request.raw_path if isinstance(request, web.Request) else str(request.rel_url)] += 1
        return await self.inner(request)


def crawl_all(name: str, network: Network, out: Path) -> None:
    """What a build does with one source."""
    queries = [Query(query_id=number, text=term) for number, term in enumerate(TERMS)]
    sources = replace(Sources(), **{name: SERVICES[name]})
    units = tuple(sources.by_name()[name].units(queries))
    read_units(UnitGroup(name, units), sources, queries, network, out)


def inner_of(name: str) -> Handler:
    if name == "commons":
        files = [
            CommonsFile(
                title=f"File:{term} {number}.jpg",
                url=f"http://img.sample.test/{term}/{number}.jpg",
                width_px=640,
                height_px=480,
                num_bytes=1000,
                mime="image/jpeg",
                description=None,
                licence="CC0",
                licence_url="",
                artist="",
            )
            for term in ("cup",)
            for number in range(60)
        ]
        return CommonsApi(files, hiccups=False).answer
    return OpenverseApi().answer if name == "openverse" else SearxngApi().answer


@pytest.mark.parametrize("name", SERVICES)
def test_killed_at_ten_points_a_search_asks_nothing_twice_and_loses_nothing(
    served: Served, name: str, tmp_path: Path
) -> None:
    network = Network(connect_to=served.connect_to)
    undisturbed = Killing(inner_of(name), set())
    mount(served, SERVICES[name], undisturbed.answer)
    crawl_all(name, network, tmp_path / "undisturbed")
    kill_at = set(random.Random(name).sample(range(1, undisturbed.num_asked), 10))
    service = Killing(inner_of(name), kill_at)
    mount(served, SERVICES[name], service.answer)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    num_kills = 0
    while True:
        child = context.Process(target=crawl_all, args=(name, network, tmp_path / "killed"))
        child.start()
        service.victim = child.pid or 0
        child.join()
        if child.exitcode == 0:
            break
        assert child.exitcode == -signal.SIGKILL
        num_kills += 1
    assert num_kills == 10
    assert service.answered == undisturbed.answered
    assert set(service.answered.values()) == {1}
    assert contents(tmp_path / "killed") == contents(tmp_path / "undisturbed")


def contents(folder: Path) -> dict[str, Any]:
    return {path.name: pq.read_table(path).to_pylist() for path in sorted(folder.iterdir())}
