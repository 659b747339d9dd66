"""Wikimedia Commons, or any MediaWiki with pictures: full-text search for each term over its Action API.

Asked in series and with maxlag, as its etiquette wants. Protocol: mediawiki.org, API:Search, API:Imageinfo,
API:Etiquette, Manual:Maxlag parameter. COMMONS_TOKEN in the environment is sent as an OAuth 2 token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlencode

from filters.reasons import Drop, Reason
from filters.text import normalise_caption
from pipeline.fetch.answers import Answer, retry_after_s
from pipeline.limits import require
from pipeline.records import Candidate, Rejection, reject
from pipeline.sources.journal import Page
from pipeline.sources.search import OF_EACH, Refusal, Service

FILE_NAMESPACE = "6"
PASSING = ("maxlag", "ratelimited", "readonly")


@dataclass(frozen=True, kw_only=True)
class Commons(Service):
    """Files found by a search for each term."""

    endpoint: str = ""
    """The wiki's api.php, such as https://commons.wikimedia.org/w/api.php."""
    page_size: int = 50
    """Results per request; the API allows 50 to anonymous users."""
    rendition_width_px: int | None = None
    """Take the wiki's own picture of about this width where the original is wider, or of a kind that is not
    stored, such as SVG. None: originals alone."""
    maxlag_s: int = 5
    """Let the server refuse while its replicas lag by more."""

    name: ClassVar[str] = "commons"
    licence: ClassVar[str] = OF_EACH

    def __post_init__(self) -> None:
        super().__post_init__()
        require(1 <= self.page_size <= 500, self.page_size, "commons.page-size must be 1 to 500")
        width = self.rendition_width_px
        require(width is None or width >= 1, width, "commons.rendition-width-px must be >= 1")

    def request_url(self, term: str, position: Mapping[str, str]) -> str:
        """Return the address of one page of results."""
        parameters = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "maxlag": str(self.maxlag_s),
            "generator": "search",
            "gsrsearch": term,
            "gsrnamespace": FILE_NAMESPACE,
            "gsrlimit": str(self.page_size),
            "prop": "imageinfo",
            "iiprop": "url|size|mime|extmetadata",
        }
        if self.rendition_width_px is not None:
            parameters["iiurlwidth"] = str(self.rendition_width_px)
        return f"{self.endpoint}?{urlencode(parameters | dict(position))}"

    def read_content(
        self, content: Any, term: str, position: Mapping[str, str], answer: Answer
    ) -> Page | Refusal:
        """Return the page, or the error: the API answers with status 200 in both cases."""
        if (error := content.get("error")) is not None:
            wait_s = retry_after_s(answer.headers.get("Retry-After")) if error["code"] in PASSING else None
            return Refusal(Drop(Reason.SOURCE_ERROR, f"{error['code']}: {error.get('info')}"), wait_s)
        found = sorted(content.get("query", {}).get("pages", []), key=lambda page: page.get("index", 0))
        following = {name: str(value) for name, value in content.get("continue", {}).items()}
        return Page([_to_candidate(page, term) for page in found], following)


def _to_candidate(page: dict[str, Any], term: str) -> Candidate | Rejection:
    info = (page.get("imageinfo") or [{}])[0]
    metadata = info.get("extmetadata") or {}
    title = str(page.get("title", "")).removeprefix("File:").rpartition(".")[0].replace("_", " ")
    description, author = _value(metadata, "ImageDescription"), _value(metadata, "Artist")
    mime, url = str(info.get("mime", "")), str(info.get("url") or "")
    rendition = info.get("thumburl")
    if rendition and int(info.get("thumbwidth") or 0) < int(info.get("width") or 0):
        url, mime = str(rendition), str(info.get("thumbmime") or "image/jpeg")
    candidate = Candidate(
        url=url,
        caption=description or title,
        source=Commons.name,
        page_url=str(info["descriptionurl"]) if info.get("descriptionurl") else None,
        found_by=term,
        licence=_value(metadata, "LicenseShortName"),
        author=(normalise_caption(author) or None) if author else None,
        caption_origin="description" if description else "title",
    )
    if not candidate.url:
        return reject("crawl", Drop(Reason.SOURCE_ERROR, f"{page.get('title')} has no file"), candidate)
    if not mime.startswith("image/"):
        detail = f"{mime or 'no type'} is not an image type"
        return reject("crawl", Drop(Reason.SOURCE_ERROR, detail), candidate)
    return candidate


def _value(metadata: dict[str, Any], name: str) -> str | None:
    value = (metadata.get(name) or {}).get("value")
    return str(value) if value else None
