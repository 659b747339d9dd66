"""What stands in a request or in an owner's list: kinds of entries, how they are written and compared."""

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from manifests.do_not_fetch import plain_caption, plain_page

KINDS = ("url", "domain", "page", "sha256", "phash", "caption")
DIGITS = {"sha256": re.compile("[0-9a-f]{64}"), "phash": re.compile("[0-9a-f]{16}")}


def read_owner_list(path: Path) -> list[tuple[str, str]]:
    """Return the (kind, text) entries of a file: a .csv with columns of these kinds, or a text, a line
    each: URL, domain, sha256:, phash:, page: or caption:. Raises ValueError at a line that is none."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"owner-list: {path} cannot be read ({error}): give a .csv or a text file"
        ) from error
    if path.suffix == ".csv":
        return _entries_of_csv(text, path)
    lines = enumerate(map(str.strip, text.splitlines()), start=1)
    return [_entry(line, f"{path}, line {number}") for number, line in lines if line and line[0] != "#"]


def _entries_of_csv(text: str, path: Path) -> list[tuple[str, str]]:
    rows = csv.DictReader(text.splitlines())
    names = [name for name in rows.fieldnames or () if name in KINDS]
    if not names:
        raise ValueError(f"{path} has none of the columns {', '.join(KINDS)}: name them in its first line")
    return [(name, row[name]) for row in rows for name in names if (row[name] or "").strip()]


def _entry(line: str, place: str) -> tuple[str, str]:
    kind, colon, text = line.partition(":")
    if colon and kind in KINDS and text.strip():
        return kind, text
    for known, digits in DIGITS.items():
        if digits.fullmatch(line.lower()):
            return known, line
    if "://" in line:
        return "url", line
    if "." in line and " " not in line and "/" not in line:
        return "domain", line
    raise ValueError(
        f"{place}: {line!r} is no URL, domain or hash: write page:URL, caption:TEXT or sha256:HASH"
    )


def as_compared(kind: str, text: str) -> str:
    entry = text.strip()
    if kind in DIGITS:
        entry = entry.lower().removeprefix(f"{kind}:")
        if not DIGITS[kind].fullmatch(entry):
            raise ValueError(f"{kind} {text!r}: give its {64 if kind == 'sha256' else 16} hex digits")
    elif kind == "domain":
        entry = (urlsplit(f"http://{entry.lstrip('*.').lower()}/").hostname or "").rstrip(".")
        if not entry.isascii():
            entry = entry.encode("idna").decode()
        if "." not in entry or "/" in text:
            raise ValueError(f"domain {text!r} is no host name: write it as example.com")
    elif kind == "caption":
        entry = plain_caption(entry)
    if not entry:
        raise ValueError(f"{kind} {text!r} is empty: leave it out")
    return entry


def map_spellings(entries: Iterable[str]) -> Iterable[str]:
    """Return all spellings of all these URLs."""
    return (spelled for entry in entries for spelled in spellings(entry))


def spellings(url: str) -> set[str]:
    """Return a URL as it was given, and as it may stand in an index: host in lower case and punycode, no
    default port, no fragment, escapes in one form. What is no URL, as the path of a local picture, is itself.

    >>> sorted(spellings("HTTP://Example.com:80/a b#top"))
    ['HTTP://Example.com:80/a b#top', 'http://example.com/a b', 'http://example.com/a%20b']
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else host.encode("idna").decode()
    except ValueError:
        return {url}
    if not host or parts.scheme.lower() not in ("http", "https"):
        return {url, plain_page(url)} if host else {url}
    scheme = parts.scheme.lower()
    netloc = host.rstrip(".") if port in (None, {"http": 80, "https": 443}[scheme]) else f"{host}:{port}"
    path, query = parts.path or "/", parts.query
    escaped = quote(unquote(path), safe="!$&'()*+,;=:@/~"), quote(unquote(query), safe="!$&'()*+,;=:@/?~")
    # Of escaped slashes and the like both the plain and the given form are taken.
    kept = quote(path, safe="!$&'()*+,;=:@/%~"), quote(query, safe="!$&'()*+,;=:@/%?~")
    forms = {(path, query), escaped, kept}
    return {url, *(urlunsplit((scheme, netloc, *form, "")) for form in forms)}
