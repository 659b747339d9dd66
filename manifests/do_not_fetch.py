"""The do-not-fetch list that takedowns leave in a dataset: digests, from which nothing can be read.

Lines that `filters/do_not_fetch.py` reads, so that what was taken down does not come back: in this dataset's
own additions and retries, and in any build that is given the file (--fetch.do-not-fetch).
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from manifests.store import write_bytes

LIST_NAME = "do_not_fetch.txt"
RECEIPTS = "takedowns"
STAGING = "work/takedown"  # where a takedown is prepared; its manifest there says that it is whole
MAX_PHASH_BITS = 4  # as filters.do_not_fetch has it
HEAD = "# What was taken down: python -m pipeline build ... --fetch.do-not-fetch FILE leaves it out.\n"


def digest_of(text: str) -> str:
    """Return the SHA-256 of a text as 64 hex digits."""
    return sha256(text.encode(errors="replace")).hexdigest()


def url_line(url: str) -> str:
    """Return the line that keeps out what lies at a URL, in its canonical spelling."""
    return f"url-sha256:{digest_of(url)}"


def page_line(page: str) -> str:
    """Return the line that keeps out what is found on a page."""
    return f"page-sha256:{digest_of(plain_page(page))}"


def domain_line(domain: str) -> str:
    """Return the line that keeps out a domain, with everything under it."""
    return f"domain-sha256:{digest_of(domain)}"


def caption_line(caption: str) -> str:
    """Return the line that keeps out a caption, in any case and spacing."""
    return f"caption-sha256:{digest_of(plain_caption(caption))}"


def plain_page(page: str) -> str:
    """Return a page's URL as it is compared: without what follows #."""
    return page.strip().partition("#")[0]


def plain_caption(caption: str) -> str:
    """Return a caption as it is compared.

    >>> plain_caption("A  Red\\numbrella ")
    'a red umbrella'
    """
    return " ".join(caption.split()).casefold()


def read_list(path: Path) -> set[str]:
    """Return the lines of a list, none where there is no file."""
    if not path.exists():
        return set()
    with path.open(encoding="utf-8") as file:
        return {line.strip() for line in file if line.strip() and not line.startswith("#")}


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list, sorted: equal ones are equal bytes."""
    write_bytes(path, (HEAD + "".join(f"{line}\n" for line in sorted(lines))).encode())


def add_to_list(path: Path, lines: set[str]) -> None:
    """Append to somebody's own list the lines that it lacks; what stands there stays as it is."""
    missing = sorted(lines - read_list(path))
    if missing:
        before = path.read_bytes() if path.exists() else b""
        gap = b"" if before.endswith(b"\n") or not before else b"\n"
        write_bytes(path, before + gap + "".join(f"{line}\n" for line in missing).encode())


class Listed:
    """Lines of such lists, asked about rows of an index: what one dataset has taken down, none may bring."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = set(lines)
        looks = [int(line.removeprefix("phash:"), 16) for line in self._lines if line.startswith("phash:")]
        self._looks = np.array(sorted(looks), dtype=np.uint64)

    def __bool__(self) -> bool:
        return bool(self._lines)

    def holds(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row was taken down somewhere: by its URLs, page, caption or picture."""
        page = row["page_url"]
        lines = [
            caption_line(row["caption"]),
            f"sha256:{row['sha256']}",
            *([page_line(page)] if page else []),
        ]
        for url in filter(None, (row["url"], row.get("final_url"), page)):
            host = urlsplit(url).hostname or ""
            lines += [domain_line(host.split(".", n)[-1]) for n in range(host.count(".") + 1)]
        lines += [url_line(url) for url in (row["url"], row.get("final_url")) if url]
        near = np.bitwise_count(self._looks ^ np.uint64(row["phash"])) <= MAX_PHASH_BITS
        return bool(near.any()) or not self._lines.isdisjoint(lines)
