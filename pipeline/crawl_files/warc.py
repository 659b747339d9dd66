"""WARC files: whole pages as they were answered."""

import codecs
from collections.abc import Iterator
from typing import IO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from selectolax.lexbor import SelectolaxError

from pipeline.crawl_files.cuts import what_is_missing
from pipeline.crawl_files.encodings import undone
from pipeline.crawl_files.html import find_pictures
from pipeline.crawl_files.rows import Found, Unreadable

HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)


def read_warc(file: IO[bytes]) -> Iterator[Found | Unreadable]:
    """Yield the pictures of a WARC file's pages, in its order. What cannot be read is Unreadable: a page, the
    rest of a page that was cut short, the rest of a file that breaks off."""
    num_records, position = 0, None
    try:
        # Quirks: old crawls wrote their headers with lone line feeds.
        for record in ArchiveIterator(file, quirks_mode=True):
            num_records, position = num_records + 1, record.stream_pos
            if record.record_type != WarcRecordType.response or not _is_html(record):
                continue
            num_bytes = record.content_length
            body = record.reader.read()
            try:
                page = _decoded(undone(record.http_headers.to_dict(), body), record)
                yield from find_pictures(page, record.headers.get("WARC-Target-URI") or "")
            except (SelectolaxError, ValueError) as error:
                yield Unreadable(f"record {num_records}: {error}")
            if len(body) < num_bytes:
                yield Unreadable(f"record {num_records} is cut short: {len(body)} of {num_bytes} bytes")
                return
    except OSError as error:
        yield Unreadable(f"breaks off after record {num_records}: {error}")
        return
    if missing := what_is_missing(file, position):
        yield Unreadable(missing)


def _is_html(record: WarcRecord) -> bool:
    return (record.http_content_type or "").lower() in HTML_TYPES


def _decoded(page: bytes, record: WarcRecord) -> bytes | str:
    """Return a page as text where its HTTP header names the charset: it goes before what the page says."""
    charset = record.http_charset
    if not charset or page.startswith(BYTE_ORDER_MARKS):
        return page
    try:
        return page.decode(charset, "replace")
    except LookupError:  # a charset that nobody knows
        return page
