"""WAT files: the links that Common Crawl has already taken out of each page, as JSON.

One metadata record per request, response and page; only a page's has links. A picture is a link whose path is
IMG@/src or another attribute that holds a picture's address.
"""

import re
from collections.abc import Iterator
from typing import IO

import msgspec
from fastwarc.warc import ArchiveIterator, WarcRecordType

from pipeline.crawl_files.cuts import what_is_missing
from pipeline.crawl_files.links import Base
from pipeline.crawl_files.rows import Found, Unreadable

HTTP = ("https://", "http://")
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


class _Header(msgspec.Struct, gc=False):
    page_url: str = msgspec.field(name="WARC-Target-URI", default="")


class _Envelope(msgspec.Struct, gc=False):
    payload: _Payload = msgspec.field(name="Payload-Metadata")
    header: _Header = msgspec.field(name="WARC-Header-Metadata")


class _Record(msgspec.Struct, gc=False):
    envelope: _Envelope = msgspec.field(name="Envelope")


_records = msgspec.json.Decoder(_Record)
_links = msgspec.json.Decoder(_Link)
_IMAGE = re.compile(rb'"path":"IMG@/[^}]*\}')
_PAGE_URL = re.compile(rb'"WARC-Target-URI":("(?:[^"\\]|\\.)*")')


def read_wat(file: IO[bytes]) -> Iterator[Found | Unreadable]:
    """Yield the pictures of a WAT file that have a text, in its order; a record that cannot be read, and the
    place where a cut file breaks off, are Unreadable."""
    num_records, position = 0, None
    try:
        for record in ArchiveIterator(file, record_types=WarcRecordType.metadata, parse_http=False):
            num_records, position = num_records + 1, record.stream_pos
            content = record.reader.read()
            try:
                yield from _pictures(content)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                yield Unreadable(f"record {num_records}: {error}")
    except OSError as error:
        yield Unreadable(f"breaks off after record {num_records}: {error}")
        return
    if missing := what_is_missing(file, position):
        yield Unreadable(missing)


def _pictures(content: bytes) -> list[Found]:
    """Return the pictures of a record; two of three are of requests and of answers that are no pages."""
    parts = _cut_out(content)
    if parts is None:
        return []
    page_url, base_href, images = parts
    base, licence = Base(page_url, base_href), _licence(content)
    found = []
    for link in images:
        url = link.url
        if not (link.alt or link.title) or url is None or link.path not in PICTURES:
            continue
        if not url.startswith(HTTP) and not (url := base.join(url)):
            continue
        if link.alt:
            found.append(Found(url, link.alt, "alt", page_url, licence))
        if link.title and link.title != link.alt:
            found.append(Found(url, link.title, "title", page_url, licence))
    return found


_Parts = tuple[str, str, list[_Link]]


def _decoded(content: bytes) -> _Parts:
    """Return a record's page, its <base href> and its links, by decoding all of it."""
    envelope = _records.decode(content).envelope
    html = (envelope.payload.response and envelope.payload.response.html) or _Html()
    return (
        envelope.header.page_url,
        (html.head and html.head.base) or "",
        [link for link in html.links if link is not None],
    )


def _cut_out(content: bytes) -> _Parts | None:
    """Return the same with the image links alone, cut out of the text in a third of the time; None where
    there are none.

    Quotes within strings are escaped, so that the text cut at is a key and its value. An object whose strings
    hold braces is cut within a string, is then no JSON, and the whole record is decoded instead.
    """
    images, first, last = [], -1, 0
    for match in _IMAGE.finditer(content):
        start, last = match.span()
        start = content.rfind(b"{", 0, start)
        images.append(content[start:last])
        if first < 0:
            first = start
    if not images:
        return _decoded(content) if b'"IMG@/' in content else None
    # <base> stands before or after the list of links.
    links_at = content.find(b'"Links":[', 0, first)
    page_url = _PAGE_URL.search(content)
    if content.find(b'"Base":', 0, links_at) >= 0 or content.find(b'"Base":', last) >= 0 or page_url is None:
        return _decoded(content)
    try:
        return msgspec.json.decode(page_url[1], type=str), "", _links.decode_lines(b"\n".join(images))
    except msgspec.DecodeError:
        return _decoded(content)


def _licence(content: bytes) -> str | None:
    """Return the address of the licence that the page names with rel=license."""
    position = content.find(b'"rel":"license')
    if position < 0:
        return None
    link = content[content.rfind(b"{", 0, position) : content.find(b"}", position) + 1]
    try:
        return msgspec.json.decode(link, type=_Link).url
    except msgspec.DecodeError:  # a brace in its text
        return None
