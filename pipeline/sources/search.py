"""Asking a search service for terms, whichever it is: in series, at its pace, each answer once.

An answer is written into a journal before the next question is asked, so that a killed run goes on with the
question that it was at. What differs between services (addresses, answers) is a `Service`.
"""

import asyncio
import math
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Answer
from pipeline.fetch.client import Client, open_client
from pipeline.limits import Fetch, Network, require
from pipeline.records import Candidate, Query, Rejection, reject
from pipeline.sources.journal import Journal, Page

QUERIES_PER_UNIT = 16

OF_EACH = "each picture has its own, as the service gave it: see the columns licence and author"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer without results. `wait_s`: when to ask again, None where that would not help."""

    drop: Drop
    wait_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Service(ABC):
    """A search service as a source: the settings that all have, and what a service says of itself."""

    endpoint: str = ""
    """Where it is asked; empty where it is off."""
    max_results_per_query: int = 500
    """After so many results of a term no further page is asked for."""
    interval_s: float = 0.0
    """Least time between two requests."""
    max_tries: int = 6
    """Tries of one question."""
    max_retry_after_s: float = 120.0
    """A longer pause than this is not waited for: that search is given up."""

    name: ClassVar[str]
    """Its field in `Sources`."""
    licence: ClassVar[str]
    """What is known of the licences of what it gives."""
    repeats_at_its_end: ClassVar[bool] = False
    """Whether it gives the same again past its last results; one that does not has lost its way."""
    max_parallel: ClassVar[int] = 1
    """It is asked in series."""

    def __post_init__(self) -> None:
        for field, least in (("max_results_per_query", 1), ("max_tries", 1), ("interval_s", 0)):
            value = getattr(self, field)
            require(value >= least, value, f"{self.name}.{field.replace('_', '-')} must be >= {least}")
        whole = not self.endpoint or self.endpoint.startswith(("http://", "https://"))
        require(whole, self.endpoint, f"{self.name}.endpoint must be an http or https URL")

    def places(self) -> list[str]:
        """Return the endpoint, if there is one."""
        return [self.endpoint] if self.endpoint else []

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return a unit per block of terms, none where the service is off."""
        num_units = math.ceil(len(queries) / QUERIES_PER_UNIT) if self.endpoint else 0
        return [f"{number:05d}" for number in range(num_units)]

    def read(self, unit: str, queries: Sequence[Query], network: Network) -> Iterator[Candidate | Rejection]:
        """Yield what the searches for one block of terms find; a search that fails is a Rejection.

        Raises OSError where the environment has credentials that the server does not take.
        """
        block = queries[int(unit) * QUERIES_PER_UNIT :][:QUERIES_PER_UNIT]
        terms = [query.text for query in block]
        yield from asyncio.run(_search_all(self, terms, network, self.token(network)))

    def token(self, network: Network) -> str | None:
        """Return the token of the environment, such as OPENVERSE_TOKEN; None where there is none.

        It goes into the Authorization header, nowhere else; with one, redirects are not followed, since they
        could lead it to another host.
        """
        return os.environ.get(f"{self.name.upper()}_TOKEN") or None

    @abstractmethod
    def request_url(self, term: str, position: Mapping[str, str]) -> str:
        """Return the address that asks for a page; `position` is what the page before it said, or nothing."""

    @abstractmethod
    def read_content(
        self, content: Any, term: str, position: Mapping[str, str], answer: Answer
    ) -> Page | Refusal:
        """Return what the JSON of an answer with status 200 says, asked for at `position`. May raise
        AttributeError, TypeError, ValueError or LookupError where it is not of the service's form."""

    def explain(self, answer: Answer) -> str:
        """Return what another status than 200 means here."""
        return f"status {answer.status}"


async def _search_all(
    service: Service, terms: Sequence[str], network: Network, token: str | None
) -> list[Candidate | Rejection]:
    manners = Fetch(
        max_tries=service.max_tries,
        per_host_concurrency=1,
        per_host_interval_s=service.interval_s,
        timeout_s=60,
        max_retry_after_s=service.max_retry_after_s,
        max_redirects=0 if token else 5,
    )
    headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    with Journal.opened(network.journal) as journal:
        async with open_client(network, manners, headers) as client:
            return [record for term in terms async for record in _results(service, client, term, journal)]


async def _results(
    service: Service, client: Client, term: str, journal: Journal
) -> AsyncIterator[Candidate | Rejection]:
    """Yield what one term finds, page after page, up to the limit; the first failure ends it."""
    had = iter(journal.pages(term))
    num_results, seen, position = 0, set[str](), dict[str, str]()
    while num_results < service.max_results_per_query:
        page = next(had, None)
        if page is None:
            page = await _ask(service, client, term, position)
            journal.write(term, page)
        for record in page.records[: service.max_results_per_query - num_results]:
            yield record
        num_results += len(page.records)
        urls = {record.url for record in page.records}
        if not urls or not page.following:
            return
        if urls <= seen:
            if not service.repeats_at_its_end:
                yield _failed(service, term, "the same results again: no more pages are asked for")
            return
        seen |= urls
        position = page.following


async def _ask(service: Service, client: Client, term: str, position: Mapping[str, str]) -> Page:
    """Return one page; a refusal that passes (lag, half an answer) is asked again, one that stays is a page
    that holds a Rejection."""
    url = service.request_url(term, position)
    drop = Drop(Reason.SOURCE_ERROR, "not tried")
    for num_tries in range(1, service.max_tries + 1):
        answer = await client.ask(url)
        outcome = answer if isinstance(answer, Drop) else _read(service, answer, term, position)
        if isinstance(outcome, Page):
            return outcome
        if isinstance(outcome, Drop):
            drop = outcome
            break
        drop = outcome.drop
        if outcome.wait_s is None or outcome.wait_s > service.max_retry_after_s:
            break
        if num_tries < service.max_tries:
            await asyncio.sleep(outcome.wait_s)
    return Page([_failed(service, term, drop.detail)], {})


def _read(service: Service, answer: Answer, term: str, position: Mapping[str, str]) -> Page | Refusal:
    """Read what a server said, which may be anything at all."""
    if answer.status != 200:
        return Refusal(Drop(Reason.SOURCE_ERROR, service.explain(answer)))
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return Refusal(Drop(Reason.SOURCE_ERROR, "the answer is not JSON"), wait_s=1.0)
    try:
        return service.read_content(content, term, position, answer)
    except (AttributeError, TypeError, ValueError, LookupError):
        return Refusal(Drop(Reason.SOURCE_ERROR, "the answer is not of the API's form"))


def _failed(service: Service, term: str, detail: str) -> Rejection:
    """Return the Rejection of a search, in which the term stands where a caption would."""
    about = Candidate(url=service.endpoint, caption=term, source=service.name)
    return reject("crawl", Drop(Reason.SOURCE_ERROR, detail), about)
