"""Wikimedia Commons, or any MediaWiki with pictures: full-text search for each term over its Action API.

Asked in series and with maxlag, as its etiquette wants. Protocol: mediawiki.org, API:Search, API:Imageinfo,
Manual:Maxlag parameter.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import orjson

from filters.reasons import Drop, Reason
from pipeline.fetch.client import Answer, Client, open_client, retry_after_s
from pipeline.limits import Fetch, Network, require
from pipeline.records import Candidate, Query, Rejection, reject

QUERIES_PER_UNIT = 16
FILE_NAMESPACE = "6"


@dataclass(frozen=True, kw_only=True)
class Commons:
    """Files found by a search for each term."""

    endpoint: str = ""
    """The wiki's api.php, such as https://commons.wikimedia.org/w/api.php."""
    max_results_per_query: int = 500
    page_size: int = 50
    """Results per request; the API allows 50 to anonymous users."""
    maxlag_s: int = 5
    """Let the server refuse while its replicas lag by more."""
    interval_s: float = 0.0
    """Least time between two requests."""
    max_tries: int = 6

    def __post_init__(self) -> None:
        require(1 <= self.page_size <= 500, self.page_size, "commons.page-size must be 1 to 500")
        require(
            self.max_results_per_query >= 1,
            self.max_results_per_query,
            "commons.max-results-per-query must be >= 1",
        )
        require(self.max_tries >= 1, self.max_tries, "commons.max-tries must be >= 1")

    @property
    def max_parallel(self) -> int:
        return 1

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return a unit per block of terms."""
        num_units = math.ceil(len(queries) / QUERIES_PER_UNIT) if self.endpoint else 0
        return [f"{number:05d}" for number in range(num_units)]

    def read(self, unit: str, queries: Sequence[Query], network: Network) -> Iterator[Candidate | Rejection]:
        """Yield what the searches for one block of terms find; a failed search is a Rejection."""
        block = queries[int(unit) * QUERIES_PER_UNIT :][:QUERIES_PER_UNIT]
        yield from asyncio.run(self._search_all(block, network))

    async def _search_all(self, queries: Sequence[Query], network: Network) -> list[Candidate | Rejection]:
        manners = Fetch(
            max_tries=self.max_tries,
            per_host_concurrency=1,
            per_host_interval_s=self.interval_s,
            timeout_s=60,
            max_retry_after_s=120,
        )
        async with open_client(network, manners) as client:
            search = _Search(self, client)
            return [record for query in queries async for record in search.results(query.text)]


@dataclass
class _Search:
    """Searches through one client."""

    config: Commons
    client: Client
    _base: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self._base = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": str(self.config.maxlag_s),
            "generator": "search",
            "gsrnamespace": FILE_NAMESPACE,
            "gsrlimit": str(self.config.page_size),
            "prop": "imageinfo",
            "iiprop": "url|size|mime|extmetadata",
        }

    async def results(self, term: str) -> AsyncIterator[Candidate | Rejection]:
        """Yield what one term finds, page after page, up to the limit; the first failure ends it."""
        num_results, position = 0, dict[str, str]()
        while num_results < self.config.max_results_per_query:
            page = await self._ask(term, position)
            if isinstance(page, Drop):
                yield reject(
                    "crawl", page, Candidate(url=self.config.endpoint, caption=term, source="commons")
                )
                return
            for record in page.records[: self.config.max_results_per_query - num_results]:
                yield record
            num_results += len(page.records)
            if not page.records or not page.following or page.following == position:
                return
            position = page.following

    async def _ask(self, term: str, position: dict[str, str]) -> "_Page | Drop":
        """Return one page; errors that pass (maxlag, a busy server, half an answer) are tried again."""
        url = f"{self.config.endpoint}?{urlencode({**self._base, 'gsrsearch': term, **position})}"
        drop = Drop(Reason.SOURCE_ERROR, "not tried")
        for num_tries in range(1, self.config.max_tries + 1):
            answer = await self.client.ask(url)
            if isinstance(answer, Drop):
                return Drop(Reason.SOURCE_ERROR, answer.detail)
            outcome = _read_answer(answer, term)
            if isinstance(outcome, _Page):
                return outcome
            drop = outcome.drop
            if outcome.wait_s is None:
                break
            if num_tries < self.config.max_tries:
                await asyncio.sleep(outcome.wait_s)
        return drop


@dataclass(frozen=True, slots=True)
class _Page:
    """One page of results, and the parameters that ask for the next."""

    records: list[Candidate | Rejection]
    following: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Refusal:
    """An answer without results. `wait_s`: when to ask again, None where that would not help."""

    drop: Drop
    wait_s: float | None = None


def _read_answer(answer: Answer, term: str) -> _Page | _Refusal:
    """Read what a server said, which may be anything at all."""
    if answer.status != 200:
        return _Refusal(Drop(Reason.SOURCE_ERROR, f"status {answer.status}"))
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return _Refusal(Drop(Reason.SOURCE_ERROR, "the answer is not JSON"), wait_s=1.0)
    try:
        if (error := content.get("error")) is None:
            return _read_page(content, term)
        drop = Drop(Reason.SOURCE_ERROR, f"{error['code']}: {error.get('info')}")
        if error["code"] in ("maxlag", "ratelimited", "readonly"):
            return _Refusal(drop, wait_s=retry_after_s(answer.headers.get("Retry-After")))
        return _Refusal(drop)
    except (AttributeError, TypeError, LookupError):
        return _Refusal(Drop(Reason.SOURCE_ERROR, "the answer is not of the API's form"))


def _read_page(content: dict[str, Any], term: str) -> _Page:
    found = sorted(content.get("query", {}).get("pages", []), key=lambda page: page.get("index", 0))
    following = {name: str(value) for name, value in content.get("continue", {}).items()}
    return _Page([_to_candidate(page, term) for page in found], following)


def _to_candidate(page: dict[str, Any], term: str) -> Candidate | Rejection:
    info = (page.get("imageinfo") or [{}])[0]
    metadata = info.get("extmetadata") or {}
    title = str(page.get("title", "")).removeprefix("File:").rpartition(".")[0].replace("_", " ")
    candidate = Candidate(
        url=str(info.get("url") or ""),
        caption=str(_value(metadata, "ImageDescription") or title),
        source="commons",
        page_url=str(info["descriptionurl"]) if info.get("descriptionurl") else None,
        found_by=term,
        licence=_value(metadata, "LicenseShortName"),
    )
    if not candidate.url:
        return reject("crawl", Drop(Reason.SOURCE_ERROR, f"{page.get('title')} has no file"), candidate)
    mime = str(info.get("mime", ""))
    if not mime.startswith("image/"):
        return reject(
            "crawl", Drop(Reason.SOURCE_ERROR, f"{mime or 'no type'} is not an image type"), candidate
        )
    return candidate


def _value(metadata: dict[str, Any], name: str) -> str | None:
    value = (metadata.get(name) or {}).get("value")
    return str(value) if value else None
