"""WAT files: the links that Common Crawl has already taken out of each page, as JSON.

One metadata record per request, response and page; only a page's has links. A picture is a link whose path is
IMG@/src or another attribute that holds a picture's address. Licences are not looked for here, since it would
take a twentieth of the time: WARC files have them.
"""

import re
from collections.abc import Iterator
from typing import IO

import msgspec
from fastwarc.warc import ArchiveIterator, HeaderMap, WarcRecordType

from pipeline.crawl_files.cuts import what_is_missing
from pipeline.crawl_files.links import HTTP, Base
from pipeline.crawl_files.rows import Found, Page, Unreadable

PICTURES = frozenset(
    f"IMG@/{name}" for name in ("src", "data-src", "data-lazy-src", "data-original", "data-original-src")
)


class _Link(msgspec.Struct, gc=False):
    path: str | None = None
    url: str | None = None
    alt: str | None = None
    title: str | None = None


class _Head(msgspec.Struct, gc=False):
    base: str | None = msgspec.field(name="Base", default=None)


class _Html(msgspec.Struct, gc=False):
    links: list[_Link | None] = msgspec.field(name="Links", default_factory=list)
    head: _Head | None = msgspec.field(name="Head", default=None)


class _Response(msgspec.Struct, gc=False):
    html: _Html | None = msgspec.field(name="HTML-Metadata", default=None)


class _Payload(msgspec.Struct, gc=False):
    response: _Response | None = msgspec.field(name="HTTP-Response-Metadata", default=None)


class _Envelope(msgspec.Struct, gc=False):
    payload: _Payload = msgspec.field(name="Payload-Metadata")


class _Record(msgspec.Struct, gc=False):
    envelope: _Envelope = msgspec.field(name="Envelope")


_records = msgspec.json.Decoder(_Record)
_links = msgspec.json.Decoder(_Link)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BASE = b'"Base":"'
_PATH = b'{"path":"'
# A pattern that begins with what is rare is found fastest. Where a link does not begin with its path as we
# have it, the pattern matches too little on purpose, so that what is cut out is no JSON.
_IMAGES = re.compile(rb'IMG@/(?:(?<!\{"path":"IMG@/)|[^}]*\}?)')


def read_wat(file: IO[bytes]) -> Iterator[Page | Unreadable]:
    """Yield the pictures of a WAT file that have a text, page by page in its order; a record that cannot be
    read, and the place where a cut file breaks off, are Unreadable."""
    num_records, position = 0, None
    try:
        for record in ArchiveIterator(
            file, record_types=WarcRecordType.metadata, parse_http=False, inplace=True
        ):
            num_records, position, num_bytes = num_records + 1, record.stream_pos, record.content_length
            content = record.reader.read(num_bytes)
            if len(content) < num_bytes:
                break  # the file ends here
            try:
                if found := _pictures(content, record.headers):
                    yield Page(position, found)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Unreadable(f"record {num_records}: {error}")
    except OSError as error:
        yield Unreadable(f"breaks off after record {num_records}: {error}")
        return
    if missing := what_is_missing(file, position):
        yield Unreadable(missing)


def _pictures(content: bytes, headers: HeaderMap) -> list[Found]:
    """Return the pictures of a record; two of three are of requests and of answers that are no pages."""
    parts = _cut_out(content)
    if parts is None:
        return []
    base_href, images = parts
    page_url = headers.get("WARC-Target-URI") or ""
    base = None
    found = []
    for link in images:
        alt, title = link.alt, link.title
        if not (alt or title):
            continue
        url = link.url
        if url is None or link.path not in PICTURES:
            continue
        if not url.startswith(HTTP):
            base = base or Base(page_url, base_href)
            if (url := base.join(url)) is None:
                continue
        if alt:
            found.append(Found(url, alt, "alt", page_url))
        if title and title != alt:
            found.append(Found(url, title, "title", page_url))
    return found


_Parts = tuple[str, list[_Link]]


def _decoded(content: bytes) -> _Parts:
    """Return a record's <base href> and its links, by decoding all of it."""
    payload = _records.decode(content).envelope.payload
    html = (payload.response and payload.response.html) or _Html()
    return (html.head and html.head.base) or "", [link for link in html.links if link is not None]


def _cut_out(content: bytes) -> _Parts | None:
    """Return the same with the image links alone, cut out of the text in a third of the time; None where
    there are none.

    Quotes within strings are escaped, so that the text cut at is a key and its value. An object that does not
    begin with its path, or whose strings hold braces, gives a line that is no JSON: then all is decoded.
    """
    images = _IMAGES.findall(content)
    if not images:
        return None
    # <base> stands before or after the list of links.
    base_at = content.find(_BASE, 0, content.find(b'"Links":['))
    if base_at < 0:
        base_at = content.find(_BASE, content.rfind(b"IMG@/"))
    try:
        base_href = _string_at(content, base_at + len(_BASE) - 1) if base_at >= 0 else ""
        return base_href, _links.decode_lines(_PATH + (b"\n" + _PATH).join(images))
    except msgspec.DecodeError:
        return _decoded(content)


def _string_at(content: bytes, position: int) -> str:
    match = _STRING.match(content, position)
    return msgspec.json.decode(match[0], type=str) if match else ""
