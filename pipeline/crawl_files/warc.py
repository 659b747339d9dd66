"""WARC files: whole pages as they were answered."""

from collections.abc import Iterator
from typing import IO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from selectolax.lexbor import SelectolaxError

from pipeline.crawl_files.charsets import decoded
from pipeline.crawl_files.cuts import what_is_missing
from pipeline.crawl_files.encodings import undone
from pipeline.crawl_files.html import find_pictures
from pipeline.crawl_files.rows import Page, Unreadable

HTML_TYPES = frozenset(("text/html", "application/xhtml+xml"))


def read_warc(file: IO[bytes]) -> Iterator[Page | Unreadable]:
    """Yield the pictures of a WARC file, page by page in its order. What cannot be read is Unreadable: a
    page, the rest of a page that was cut short, the rest of a file that breaks off."""
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
                page = decoded(undone(record.http_headers.to_dict(), body), record.http_charset)
                yield Page(position, find_pictures(page, record.headers.get("WARC-Target-URI") or ""))
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
