"""The part of the MediaWiki Action API that finds pictures, as Wikimedia Commons answers it.

`action=query` with `generator=search` and `prop=imageinfo`, in format version 2: paging, errors that come
with status 200, maxlag, rate limits and the odd 503. Protocol: mediawiki.org, API:Search, API:Imageinfo,
API:Errors and warnings, Manual:Maxlag parameter.
"""

import asyncio
import re
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

MAX_LIMIT = 50
DEFAULT_LIMIT = 10
KNOWN = frozenset(
    [
        *("action", "format", "formatversion", "errorformat", "generator", "prop", "continue", "maxlag"),
        *("gsrsearch", "gsrnamespace", "gsrlimit", "gsroffset", "gsrsort", "gsrwhat", "origin", "utf8"),
        *("iiprop", "iilimit", "iiurlwidth", "iiextmetadatafilter", "iiextmetadatalanguage"),
        *("maxage", "smaxage"),
    ]
)
WORD = re.compile(r"[^\W_]+")
TAG = re.compile(r"<[^>]*>")
DOCREF = "See http://commons.sample.test/w/api.php for API usage."


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonsFile:
    """A file page: what the API tells of it."""

    title: str  # "File:Red umbrella.jpg"
    url: str
    width_px: int
    height_px: int
    num_bytes: int
    mime: str
    description: str | None  # HTML
    licence: str
    licence_url: str
    artist: str


class ApiError(Exception):
    """An answer of the form {"error": {"code": ..., "info": ...}}."""

    def __init__(
        self, code: str, info: str, *, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{code}: {info}")
        self.code, self.info, self.status, self.headers = code, info, status, dict(headers or {})


def stem(word: str) -> str:
    """Return a word without its plural ending, as a search engine's stemmer would.

    >>> [stem(word) for word in ("Umbrellas", "butterflies", "glass", "bus")]
    ['umbrella', 'butterfly', 'glass', 'bus']
    """
    word = word.lower()
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3 else word


def stems(text: str) -> list[str]:
    """Return the stems of all words of a text."""
    return [stem(word) for word in WORD.findall(text)]


class CommonsApi:
    """Answers searches over a fixed list of files.

    With `hiccups` about one term in 34 is refused once, by its hash: with maxlag, with 429 or with 503.
    Asked again it is answered, however often a crawl is repeated.
    """

    def __init__(self, files: Sequence[CommonsFile], *, hiccups: bool = True) -> None:
        self._files = files
        self._hiccups = hiccups
        self._refused: set[str] = set()
        self._holders: dict[str, set[int]] = defaultdict(set)
        for position, file in enumerate(files):
            for word in stems(f"{file.title} {TAG.sub(' ', file.description or '')}"):
                self._holders[word].add(position)

    def search(self, term: str) -> list[CommonsFile]:
        """Return the files that hold all words of the term in title or description, in the list's order."""
        words = stems(term)
        found = set.intersection(*(self._holders.get(word, set()) for word in words)) if words else set()
        return [self._files[position] for position in sorted(found)]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        await asyncio.sleep(0)
        if not request.headers.get("User-Agent"):
            return web.Response(status=403, text="Please set a user-agent and respect our robot policy\n")
        try:
            self._hiccup(request.query)
            return web.json_response(self.query(request.query))
        except ApiError as error:
            content = {
                "error": {"code": error.code, "info": error.info, "docref": DOCREF},
                "servedby": "sample",
            }
            headers = {"MediaWiki-API-Error": error.code, **error.headers}
            return web.json_response(content, status=error.status, headers=headers)
        except web.HTTPServiceUnavailable as busy:
            return web.Response(status=503, text="upstream connect error\n", headers=busy.headers)

    def query(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer to a request's parameters. Raises ApiError as the API's errors."""
        _require_value(parameters, "action", "query")
        if "json" not in parameters.get("format", "json"):
            raise ApiError("badvalue", f'Unrecognized value for parameter "format": {parameters["format"]}.')
        answer: dict[str, Any] = {"batchcomplete": True}
        if unknown := sorted(set(parameters) - KNOWN):
            text = f"Unrecognized parameter{'s' * (len(unknown) > 1)}: {', '.join(unknown)}."
            answer["warnings"] = {"main": {"warnings": text}}
        if "generator" not in parameters:
            return answer
        _require_value(parameters, "generator", "search")
        if not parameters.get("gsrsearch", "").strip():
            raise ApiError("missingparam", 'The "gsrsearch" parameter must be set.')
        offset, limit = _integer(parameters, "gsroffset", 0), _limit(parameters, answer)
        found = self.search(parameters["gsrsearch"]) if parameters.get("gsrnamespace") == "6" else []
        if offset + limit < len(found):
            answer["continue"] = {"gsroffset": offset + limit, "continue": "gsroffset||"}
        if page := found[offset : offset + limit]:
            entries = [self._page(file, index, parameters) for index, file in enumerate(page, offset + 1)]
            # The real API orders pages by their id; "index" is what tells the order of the search.
            answer["query"] = {"pages": sorted(entries, key=lambda entry: int(entry["pageid"]))}
        return answer

    def _page(self, file: CommonsFile, index: int, parameters: Mapping[str, str]) -> dict[str, Any]:
        page: dict[str, Any] = {
            "pageid": zlib.crc32(file.title.encode()),
            "ns": 6,
            "title": file.title,
            "index": index,
        }
        if "imageinfo" in parameters.get("prop", "").split("|"):
            page["imagerepository"] = "local"
            page["imageinfo"] = [image_info(file, set(parameters.get("iiprop", "timestamp|user").split("|")))]
        return page

    def _hiccup(self, parameters: Mapping[str, str]) -> None:
        """Refuse the first request of some terms."""
        term = parameters.get("gsrsearch", "")
        kind = zlib.crc32(term.encode()) % 103
        if not self._hiccups or kind > 2 or term in self._refused:
            return
        self._refused.add(term)
        if kind == 0:
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "1"})
        if kind == 1 and "maxlag" in parameters:
            headers = {"Retry-After": "1", "X-Database-Lag": "6"}
            raise ApiError("maxlag", "Waiting for db1.sample: 6 seconds lagged.", headers=headers)
        if kind == 2:
            info = "You've exceeded your rate limit. Please wait some time and try again."
            raise ApiError("ratelimited", info, status=429, headers={"Retry-After": "1"})


def image_info(file: CommonsFile, wanted: set[str]) -> dict[str, Any]:
    """Return the parts of a file's description that `iiprop` asks for."""
    info: dict[str, Any] = {}
    if wanted & {"size", "dimensions"}:
        info |= {"size": file.num_bytes, "width": file.width_px, "height": file.height_px}
    if "url" in wanted:
        page = f"http://commons.sample.test/wiki/{file.title.replace(' ', '_')}"
        info |= {"url": file.url, "descriptionurl": page}
    if "mime" in wanted:
        info["mime"] = file.mime
    if "extmetadata" in wanted:
        values = {
            "ObjectName": file.title.removeprefix("File:").rpartition(".")[0],
            "ImageDescription": file.description,
            "Artist": file.artist,
            "LicenseShortName": file.licence,
            "LicenseUrl": file.licence_url,
        }
        info["extmetadata"] = {
            name: {"value": value, "source": "commons-desc-page"} for name, value in values.items() if value
        }
    return info


def _require_value(parameters: Mapping[str, str], name: str, value: str) -> None:
    if name not in parameters:
        raise ApiError("missingparam", f'The "{name}" parameter must be set.')
    if parameters[name] != value:
        raise ApiError("badvalue", f'Unrecognized value for parameter "{name}": {parameters[name]}.')


def _integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, str(default))
    if not text.isdecimal():
        raise ApiError("badinteger", f'Invalid value "{text}" for integer parameter "{name}".')
    return int(text)


def _limit(parameters: Mapping[str, str], answer: dict[str, Any]) -> int:
    """Return how many results are wanted; a number out of range is cut to it, with a warning."""
    if parameters.get("gsrlimit") == "max":
        return MAX_LIMIT
    wanted = _integer(parameters, "gsrlimit", DEFAULT_LIMIT)
    if not 1 <= wanted <= MAX_LIMIT:
        text = f'The value "{wanted}" for parameter "gsrlimit" must be between 1 and {MAX_LIMIT}.'
        answer.setdefault("warnings", {})["search"] = {"warnings": text}
    return min(max(wanted, 1), MAX_LIMIT)
