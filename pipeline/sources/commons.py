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
from pipeline.fetch.client import Client, open_client, retry_after_s
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
            answer = await self._ask({**self._base, "gsrsearch": term, **position})
            if isinstance(answer, Drop):
                yield reject(
                    "crawl", answer, Candidate(url=self.config.endpoint, caption=term, source="commons")
                )
                return
            pages = sorted(answer.get("query", {}).get("pages", []), key=lambda page: page.get("index", 0))
            for page in pages[: self.config.max_results_per_query - num_results]:
                yield _to_candidate(page, term)
            num_results += len(pages)
            following = {name: str(value) for name, value in answer.get("continue", {}).items()}
            if not pages or not following or following == position:
                return
            position = following

    async def _ask(self, parameters: dict[str, str]) -> dict[str, Any] | Drop:
        """Return one answer; errors that pass (maxlag, a busy server, half an answer) are tried again."""
        drop = Drop(Reason.SOURCE_ERROR, "not tried")
        for _ in range(self.config.max_tries):
            answer = await self.client.ask(f"{self.config.endpoint}?{urlencode(parameters)}")
            if isinstance(answer, Drop):
                return Drop(Reason.SOURCE_ERROR, answer.detail)
            if answer.status != 200:
                return Drop(Reason.SOURCE_ERROR, f"status {answer.status}")
            try:
                content = orjson.loads(answer.body)
                error = content.get("error")
            except (orjson.JSONDecodeError, AttributeError):
                drop, wait_s = Drop(Reason.SOURCE_ERROR, "the answer is not a JSON object"), 1.0
            else:
                if error is None:
                    return dict(content)
                drop = Drop(Reason.SOURCE_ERROR, f"{error.get('code')}: {error.get('info')}")
                if error.get("code") not in ("maxlag", "ratelimited", "readonly"):
                    return drop
                wait_s = retry_after_s(answer.headers.get("Retry-After"))
            await asyncio.sleep(wait_s)
        return drop


def _to_candidate(page: dict[str, Any], term: str) -> Candidate | Rejection:
    info = (page.get("imageinfo") or [{}])[0]
    metadata = info.get("extmetadata") or {}
    title = str(page.get("title", "")).removeprefix("File:").rpartition(".")[0].replace("_", " ")
    candidate = Candidate(
        url=str(info.get("url") or ""),
        caption=str(_value(metadata, "ImageDescription") or title),
        source="commons",
        page_url=info.get("descriptionurl"),
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
