"""The web server of the search page: a page, its style and script, and answers in JSON and pictures by id.

/                           the page; /page.css, /page.js
/search?q=&minus=&num=      pictures for words; like=ID an indexed picture; POST: a picture as the body
/thumbnail/ID /picture/ID   pictures, small and large
/why/ID                     a page with all that is known of a picture; see `why`

No address or file name ever comes from a client: pictures are asked for by id, and ids are numbers.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from importlib.resources import files

from aiohttp import web

from train.search.parts import id_of
from train.search.question import Question
from train.search.safe_pictures import BadPictureError
from train.search.searcher import Hit, Searcher
from train.search.server.guard import Guard, Rate, refused
from train.search.server.settings import ServeSettings
from train.search.server.shown import ShownPictures
from train.search.server.why import WHY_POLICY, why_page
from train.search.server.work import BusyError, Work

MAX_RESULTS = 240
MAX_WAITING = 32
QUERIES_AT_ONCE = 20
PICTURES_PER_S, PICTURES_AT_ONCE = 200.0, 1_000
MAX_UPLOADS = 8  # at the same time
SHUTDOWN_S = 2.0  # for answers that are on their way
UPLOAD_S = 20.0  # from the first byte of a picture to its last
_ASSETS = {"/": ("page.html", "text/html"), "/page.css": ("page.css", "text/css")} | {
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def serve(settings: ServeSettings) -> None:
    """Serve the page until somebody stops it."""
    app = make_app(settings, Searcher.open(settings.index, exact=settings.exact))
    if warning := settings.warning():
        print(warning, file=sys.stderr)
    web.run_app(
        app,
        host=settings.host,
        port=settings.port,
        access_log=None,
        print=_say,
        handler_cancellation=True,
        shutdown_timeout=SHUTDOWN_S,
    )


def make_app(settings: ServeSettings, searcher: Searcher) -> web.Application:
    """Return the server's application, without a port."""
    guard = Guard(names=frozenset(settings.name))
    app = web.Application(
        middlewares=[guard.middleware, _patiently], client_max_size=settings.max_upload_bytes
    )
    site = Site(
        settings=settings,
        searcher=searcher,
        shown=ShownPictures(searcher),
        queries=Work(settings.max_queries, MAX_WAITING),
        pictures=Work(2, 512),
        uploads=asyncio.Semaphore(MAX_UPLOADS),
        query_rate=Rate(settings.queries_per_s, QUERIES_AT_ONCE),
        picture_rate=Rate(PICTURES_PER_S, PICTURES_AT_ONCE),
    )
    for path, (name, kind) in _ASSETS.items():
        body = (files(__package__) / name).read_bytes()
        app.router.add_get(path, partial(_asset, body, kind))
    app.router.add_get("/search", site.search)
    app.router.add_post("/search", site.search)
    app.router.add_get("/{size:thumbnail|picture}/{id}", site.picture)
    app.router.add_get("/why/{id}", site.why)
    app.on_cleanup.append(site.close)
    return app


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the answers are made from."""

    settings: ServeSettings
    searcher: Searcher
    shown: ShownPictures
    queries: Work
    pictures: Work
    uploads: asyncio.Semaphore
    query_rate: Rate
    picture_rate: Rate

    async def search(self, request: web.Request) -> web.Response:
        """Answer a question with pictures, or no question with some of all."""
        if wait_s := self.query_rate.seconds_to_wait(request.remote or "", time.monotonic()):
            return _later(429, "too many questions at once", wait_s)
        if self.queries.is_full:  # before a picture is taken in
            raise BusyError
        picture = await self._picture(request) if request.method == "POST" else None
        started = time.perf_counter()
        try:
            num = max(1, min(MAX_RESULTS, int(request.query.get("num", "40"))))
            hits = await self.queries.do(lambda: self._hits(request, picture, num))
        except (ValueError, OverflowError) as error:  # also BadPictureError
            return refused(400, str(error))
        answer = {
            "results": [hit.as_json() for hit in hits],
            "num_pictures": self.searcher.parts.num_rows,
            "ms": round(1e3 * (time.perf_counter() - started), 1),
        }
        return web.json_response(answer, headers={"Cache-Control": "no-store"})

    async def picture(self, request: web.Request) -> web.Response:
        """Answer with a picture."""
        if wait_s := self.picture_rate.seconds_to_wait(request.remote or "", time.monotonic()):
            return _later(429, "too many pictures at once", wait_s)
        hit, size = self._hit(request), request.match_info["size"]
        try:
            shown = self.shown.kept(size, hit)
            if shown is None:
                shown = await self.pictures.do(lambda: self.shown.read(size, hit))
        except (OSError, BadPictureError):
            return refused(410, "this picture is no longer where it was indexed")
        policy = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "max-age=3600"}
        return web.Response(body=shown[0], content_type=shown[1], headers=policy)

    async def why(self, request: web.Request) -> web.Response:
        """Answer with the page on why a picture is here."""
        if wait_s := self.query_rate.seconds_to_wait(request.remote or "", time.monotonic()):
            return _later(429, "too many questions at once", wait_s)
        hit = self._hit(request)
        page = await self.queries.do(lambda: why_page(self.searcher, self.shown, hit))
        return web.Response(
            text=page, content_type="text/html", headers={"Content-Security-Policy": WHY_POLICY}
        )

    async def close(self, _: web.Application) -> None:
        """Let the threads go."""
        self.queries.close()
        self.pictures.close()

    async def _picture(self, request: web.Request) -> bytes:
        if self.uploads.locked():  # each holds its bytes
            raise BusyError
        async with self.uploads, asyncio.timeout(UPLOAD_S):
            return await request.read()

    def _hits(self, request: web.Request, picture: bytes | None, num: int) -> list[Hit]:
        asked, show_unsafe = request.query, self.settings.show_unsafe
        like = self._hit_of(asked["like"]) if "like" in asked else None
        if "like" in asked and like is None:
            raise ValueError("there is no picture with this id")
        if not (asked.get("q", "").strip() or picture or like or asked.get("minus", "").strip()):
            return self.searcher.some(num, show_unsafe=show_unsafe)
        question = Question(
            words=asked.get("q", ""),
            minus=asked.get("minus", ""),
            picture=picture,
            like=self.searcher.features(like) if like else None,
            picture_weight=float(asked.get("weight", "0.5")),
        )
        return self.searcher.search(question, num, show_unsafe=show_unsafe)

    def _hit(self, request: web.Request) -> Hit:
        hit = self._hit_of(request.match_info["id"])
        if hit is None:
            raise web.HTTPNotFound(reason="there is no picture with this id")
        return hit

    def _hit_of(self, text: str) -> Hit | None:
        id_ = id_of(text)
        return None if id_ is None else self.searcher.hit(id_, show_unsafe=self.settings.show_unsafe)


@web.middleware
async def _patiently(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tell a client to come back where there is too much to do."""
    try:
        return await handler(request)
    except BusyError:
        return _later(503, "too many questions are waiting already", 1.0)
    except TimeoutError:
        return refused(408, "the picture took too long to come")


async def _asset(body: bytes, kind: str, _: web.Request) -> web.Response:
    return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})


def _later(status: int, words: str, wait_s: float) -> web.Response:
    return refused(status, words, **{"Retry-After": str(max(1, round(wait_s)))})


def _say(line: str) -> None:
    # aiohttp's own lines, of which the first is the address.
    print(line.strip().replace("======== Running on ", "search page: ").replace(" ========", ""), flush=True)
