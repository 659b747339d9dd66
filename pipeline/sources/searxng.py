"""SearXNG: a metasearch engine that you host yourself, asked for its images category.

Its settings.yml must allow JSON (search.formats), and its limiter must let this client through. Protocol:
docs.searxng.org, Search API. SEARXNG_TOKEN in the environment is sent as a bearer token, for an instance
behind a proxy that wants one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from filters.reasons import Drop, Reason
from pipeline.fetch.answers import Answer
from pipeline.limits import require
from pipeline.records import Candidate
from pipeline.sources.journal import Page
from pipeline.sources.search import Refusal, Service


@dataclass(frozen=True, kw_only=True)
class Searxng(Service):
    """Pictures found by a search for each term."""

    endpoint: str = ""
    """The instance's search address, such as https://search.example.org/search."""
    engines: tuple[str, ...] = ()
    """Ask these of its engines alone, such as 'bing images'; all of its images category without any."""
    safe_search: int = 2
    """0 none, 1 moderate, 2 strict, as far as the engines know it."""
    interval_s: float = 1.0
    max_tries: int = 4
    max_retry_after_s: float = 300.0

    name: ClassVar[str] = "searxng"
    licence: ClassVar[str] = "the service says nothing of them"
    repeats_at_its_end: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require(0 <= self.safe_search <= 2, self.safe_search, "searxng.safe-search must be 0, 1 or 2")

    def request_url(self, term: str, position: Mapping[str, str]) -> str:
        """Return the address of one page of results."""
        parameters = {"q": term, "format": "json", "categories": "images", "pageno": "1"}
        parameters["safesearch"] = str(self.safe_search)
        if self.engines:
            parameters["engines"] = ",".join(self.engines)
        return f"{self.endpoint}?{urlencode(parameters | dict(position))}"

    def read_content(
        self, content: Any, term: str, position: Mapping[str, str], answer: Answer
    ) -> Page | Refusal:
        """Return the page. It does not say whether it is the last: an empty one is, and one that repeats."""
        records = [candidate for result in content["results"] for candidate in _to_candidates(result, term)]
        silent = [f"{name} ({why})" for name, why, *_ in content.get("unresponsive_engines") or []]
        if silent and not records:
            detail = f"no results, and these engines did not answer: {', '.join(silent)}"
            return Refusal(Drop(Reason.SOURCE_ERROR, detail), wait_s=5.0)
        return Page(records, {"pageno": str(int(position.get("pageno", "1")) + 1)})

    def explain(self, answer: Answer) -> str:
        """Return the status and its usual cause."""
        if answer.status == 403:
            return "status 403: does settings.yml of the instance have json among search.formats?"
        return f"status {answer.status}"


def _to_candidates(result: dict[str, Any], term: str) -> Iterator[Candidate]:
    """Yield the picture of a result with its title, and with its description where it has one."""
    url = str(result.get("img_src") or "")
    url = f"https:{url}" if url.startswith("//") else url
    if not url.startswith(("http://", "https://")):  # a preview within the answer, or another kind of result
        return
    page_url, texts = result.get("url"), dict[str, str]()
    for name, origin in (("title", "title"), ("content", "description")):
        if text := str(result.get(name) or "").strip():
            texts.setdefault(text, origin)
    for text, origin in texts.items():
        yield Candidate(
            url=url,
            caption=text,
            source=Searxng.name,
            page_url=str(page_url) if page_url else None,
            found_by=term,
            caption_origin=origin,
        )
