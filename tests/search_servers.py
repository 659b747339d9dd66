"""Search services on this machine, as the real ones speak: pages, limits, credentials, refusals."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

OPENVERSE = "http://openverse.sample.test/v1/images/"
SEARXNG = "http://searx.sample.test/search"
CLIENT_ID, CLIENT_SECRET, TOKEN = "client-7", "secret-of-client-7", "token-of-client-7"


def as_json(content: Any, status: int = 200, **headers: str) -> web.Response:
    return web.json_response(content, status=status, headers=headers)


@dataclass
class OpenverseApi:
    """The image search of Openverse's API, version 1, over the same pictures for every term."""

    num_results: int = 45
    num_refusals: int = 0
    """The first so many requests are throttled."""
    authorizations: set[str | None] = field(default_factory=set)
    num_tokens: int = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        authorization = request.headers.get("Authorization")
        self.authorizations.add(authorization)
        if authorization not in (None, f"Bearer {TOKEN}"):
            return as_json({"detail": "Invalid token header."}, 401)
        if self.num_refusals > 0:
            self.num_refusals -= 1
            return as_json({"detail": "Request was throttled."}, 429, **{"Retry-After": "0"})
        size, number = int(request.query["page_size"]), int(request.query["page"])
        if size > (500 if authorization else 20):
            return as_json({"detail": "Page size must be between 1 & 20 for unauthenticated requests."}, 401)
        num_pages = -(-self.num_results // size)
        if number > num_pages:
            return as_json({"detail": "Invalid page."}, 404)
        results = [
            openverse_result(request.query["q"], place)
            for place in range((number - 1) * size, min(number * size, self.num_results))
        ]
        found = {"result_count": self.num_results, "page_count": num_pages, "page_size": size, "page": number}
        return as_json(found | {"results": results, "warnings": []})

    async def give_token(self, request: web.BaseRequest) -> web.StreamResponse:
        form = await request.post()
        self.num_tokens += 1
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return as_json({"error": "invalid_client"}, 401)
        return as_json({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 43200, "scope": "read"})


def openverse_result(term: str, place: int) -> dict[str, Any]:
    return {
        "id": f"{place:08d}-0000-0000-0000-000000000000",
        "title": f"{term} {place}",
        "indexed_on": "2024-05-01T00:00:00Z",
        "foreign_landing_url": f"https://photos.sample.test/{place}",
        "url": f"https://img.sample.test/{term}/{place}.jpg",
        "creator": "A. Example" if place else None,
        "license": "by-sa" if place else "cc0",
        "license_version": "4.0" if place else "1.0",
        "provider": "flickr",
        "source": "flickr",
        "filetype": "jpg",
        "tags": [],
        "mature": False,
        "height": 480,
        "width": 640,
    }


@dataclass
class SearxngApi:
    """The JSON search of a SearXNG instance; past its last page an engine gives that page again."""

    num_results: int = 45
    page_size: int = 20
    formats: Sequence[str] = ("html", "json")
    unresponsive: Sequence[tuple[str, str]] = ()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.query.get("format", "html") not in self.formats:
            return web.Response(status=403, text="<html>Forbidden</html>", content_type="text/html")
        term, number = request.query["q"], int(request.query.get("pageno", "1"))
        first = min(
            (number - 1) * self.page_size, max(0, self.num_results - 1) // self.page_size * self.page_size
        )
        places = range(first, min(first + self.page_size, self.num_results))
        return as_json(
            {
                "query": term,
                "number_of_results": 0,
                "results": [searxng_result(term, place) for place in places],
                "answers": [],
                "corrections": [],
                "infoboxes": [],
                "suggestions": [],
                "unresponsive_engines": list(self.unresponsive),
            }
        )


def searxng_result(term: str, place: int) -> dict[str, Any]:
    return {
        "url": f"https://photos.sample.test/{place}",
        "title": f"{term} {place}",
        "content": f"a photo of a {term}, number {place}" if place == 1 else "",
        "img_src": f"//img.sample.test/{term}/{place}.jpg",
        "thumbnail_src": "https://thumbs.sample.test/x.jpg",
        "engine": "bing images",
        "template": "images.html",
        "resolution": "640 x 480",
        "category": "images",
        "positions": [place],
    }


@dataclass
class Counted:
    """A service that counts what it has answered, by its address."""

    inner: Any
    answered: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        response: web.StreamResponse = await self.inner.answer(request)
        self.answered[json.dumps(sorted(request.query.items()))] += 1
        return response
