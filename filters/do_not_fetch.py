"""The do-not-fetch list: domains, URLs and pictures that must never be asked for or kept."""

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from filters.near_index import NearIndex, WideIndex
from filters.pdq import MAX_PDQ_BITS, check_pdq
from filters.reasons import Drop, Reason
from filters.urls import blocked_domain, canonical_url, host_of

MAX_PHASH_BITS = 4
"""Bits in which a perceptual hash may differ from a listed one, so that resized copies are found too."""

# A hash without its kind, as organisations hand lists out, is known by its length.
_HASHES = {
    "sha256": re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE),
    "md5": re.compile(r"(?:md5:)?([0-9a-f]{32})", re.IGNORECASE),
    "phash": re.compile(r"(?:phash:)?([0-9a-f]{16})", re.IGNORECASE),
    "pdq": re.compile(r"pdq:([0-9a-f]{64})", re.IGNORECASE),
    # What `python -m manifests takedown` writes: nobody can read from it what was taken down.
    "url-sha256": re.compile(r"url-sha256:([0-9a-f]{64})", re.IGNORECASE),
    "domain-sha256": re.compile(r"domain-sha256:([0-9a-f]{64})", re.IGNORECASE),
    "page-sha256": re.compile(r"page-sha256:([0-9a-f]{64})", re.IGNORECASE),
    "caption-sha256": re.compile(r"caption-sha256:([0-9a-f]{64})", re.IGNORECASE),
}
TAKEN_DOWN = "on the do-not-fetch list of a takedown"
SEPARATOR = ","  # between the files of several lists
_STAR = "zqstarqz"  # stands for a star while a pattern is brought into the one spelling of URLs


@dataclass(frozen=True, kw_only=True)
class DoNotFetch:
    """What a do-not-fetch file holds. One entry a line; empty lines and those that begin with # are left out.

    example.com                  a domain, with everything under it
    https://example.com/private/ every URL that begins so
    https://*.example.com/*/me/* every whole URL of this form; a star before the first / of a path stops there
    sha256:9f86d0...             a file, by the hash of its bytes; or its 64 digits alone
    md5:9e107d9d372bb682...      the same; or its 32 digits alone
    phash:c3d2e1f0a5b49687       a picture, by its perceptual hash, as in an index; or its 16 digits alone
    pdq:d8f8f0cee0f4a84f...      a picture, by its PDQ hash of 64 digits (needs the extra pdq)
    url-sha256:, domain-sha256:, page-sha256:, caption-sha256:
                                 what was taken down, by the hash of its canonical URL, its domain, the page
                                 without #..., the caption in lower case with single spaces
    """

    domains: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()  # regular expressions of whole canonical URLs
    sha256s: frozenset[str] = frozenset()
    md5s: frozenset[str] = frozenset()
    phashes: tuple[int, ...] = ()
    pdqs: tuple[str, ...] = ()
    taken_down: Mapping[str, frozenset[bytes]] = field(default_factory=dict)  # digests by kind

    @classmethod
    def parse(cls, text: str, name: str = "do-not-fetch list") -> "DoNotFetch":
        """Read the lines of a file. Raises ValueError at one that could never match, with its number."""
        hashes: dict[str, set[str]] = {kind: set() for kind in _HASHES}
        domains: set[str] = set()
        prefixes: list[str] = []
        patterns: list[str] = []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            if hashed := _hash_in(entry):
                hashes[hashed[0]].add(hashed[1])
            elif "://" in entry and (url := canonical_url(entry.replace("*", _STAR))):
                (patterns if "*" in entry else prefixes).append(_regex_of(url) if "*" in entry else url)
            elif domain := _domain_in(entry):
                domains.add(domain)
            else:
                raise ValueError(
                    f"{name}, line {number}: {entry!r} is no domain, no http or https URL and no hash "
                    "(sha256:, md5:, phash:, pdq:): write it as one of these, or begin the line with #"
                )
        return cls(
            domains=frozenset(domains),
            prefixes=tuple(prefixes),
            patterns=tuple(patterns),
            sha256s=frozenset(hashes["sha256"]),
            md5s=frozenset(hashes["md5"]),
            phashes=tuple(sorted(int(digits, 16) for digits in hashes["phash"])),
            pdqs=tuple(sorted(hashes["pdq"])),
            taken_down={
                kind: frozenset(map(bytes.fromhex, listed))
                for kind, listed in hashes.items()
                if kind.endswith("-sha256") and listed
            },
        )

    @property
    def lists_looks(self) -> bool:
        """Whether pictures are listed by what they look like, for which they must be decoded."""
        return bool(self.phashes or self.pdqs)

    def check_url(self, url: str) -> Drop | None:
        """Return why a canonical URL may not be asked for; None allows it."""
        if self.prefixes and url.startswith(self.prefixes):
            return Drop(Reason.URL_BLOCKED, "this URL is on the do-not-fetch list")
        if self.patterns and self._pattern.fullmatch(url):
            return Drop(Reason.URL_BLOCKED, "URLs of this form are on the do-not-fetch list")
        if self.domains and (domain := blocked_domain(host_of(url), self.domains)):
            return Drop(Reason.URL_BLOCKED, f"domain {domain} is on the do-not-fetch list")
        return self._check_taken_down(url)

    def check_pair(self, url: str, page_url: str | None, caption: str) -> Drop | None:
        """Return why a pair of this canonical URL may not be had; None allows it."""
        if drop := self.check_url(url):
            return drop
        page = (page_url or "").strip().partition("#")[0]
        if self._lists("caption-sha256", plain_caption(caption)) or (
            page and self._lists("page-sha256", page)
        ):
            return Drop(Reason.TAKEN_DOWN, TAKEN_DOWN)
        if page and "domain-sha256" in self.taken_down:
            return self._check_domain(host_of(canonical_url(page) or ""))
        return None

    def _check_taken_down(self, url: str) -> Drop | None:
        if self._lists("url-sha256", url):
            return Drop(Reason.TAKEN_DOWN, TAKEN_DOWN)
        return self._check_domain(host_of(url)) if "domain-sha256" in self.taken_down else None

    def _check_domain(self, host: str) -> Drop | None:
        while host and not self._lists("domain-sha256", host):
            host = host.partition(".")[2]
        return Drop(Reason.TAKEN_DOWN, TAKEN_DOWN) if host else None

    def _lists(self, kind: str, text: str) -> bool:
        listed = self.taken_down.get(kind)
        return listed is not None and hashlib.sha256(text.encode(errors="replace")).digest() in listed

    def check_bytes(self, data: bytes) -> Drop | None:
        """Return why a file of these bytes may not be kept; None allows it."""
        kinds = [kind for kind, listed in (("sha256", self.sha256s), ("md5", self.md5s)) if listed]
        return self.check_file(
            {kind: hashlib.new(kind, data, usedforsecurity=False).hexdigest() for kind in kinds}
        )

    def check_file(self, hashes: Mapping[str, str]) -> Drop | None:
        """Return why a file with these hashes (sha256, md5: hex digits) may not be kept; None allows it."""
        for kind, listed in (("sha256", self.sha256s), ("md5", self.md5s)):
            if hashes.get(kind) in listed:
                return Drop(Reason.PICTURE_BLOCKED, f"{kind} {hashes[kind]} is on the do-not-fetch list")
        return None

    def check_phash(self, phash: int) -> Drop | None:
        """Return why a picture with this 64-bit perceptual hash may not be kept; None allows it."""
        if not self.phashes or (found := self._phash_index.nearest(phash)) is None:
            return None
        listed, distance = found
        detail = f"phash {phash:016x} is {distance} bits from {listed:016x} on the do-not-fetch list"
        return Drop(Reason.PICTURE_BLOCKED, detail)

    def check_pdq(self, pdq: str | None) -> Drop | None:
        """Return why a picture with this PDQ hash (64 hex digits) may not be kept; None allows it."""
        if not self.pdqs or pdq is None or (found := self._pdq_index.nearest(pdq)) is None:
            return None
        listed, distance = found
        detail = f"pdq {pdq} is {distance} bits from {listed} on the do-not-fetch list"
        return Drop(Reason.PICTURE_BLOCKED, detail)

    # Built when first asked for, once for each process and state of the file: see `_read`.

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile("|".join(self.patterns))

    @functools.cached_property
    def _phash_index(self) -> NearIndex:
        return NearIndex(np.array(self.phashes, dtype=np.uint64), MAX_PHASH_BITS)

    @functools.cached_property
    def _pdq_index(self) -> WideIndex:
        return WideIndex(self.pdqs, MAX_PDQ_BITS)


def plain_caption(caption: str) -> str:
    """Return a caption as it is compared with those that were taken down."""
    return " ".join(caption.split()).casefold()


def _hash_in(entry: str) -> tuple[str, str] | None:
    matches = ((kind, pattern.fullmatch(entry)) for kind, pattern in _HASHES.items())
    return next(((kind, match[1].lower()) for kind, match in matches if match), None)


def _domain_in(entry: str) -> str:
    if "." not in entry or "/" in entry:
        return ""
    return host_of(canonical_url(f"http://{entry.removeprefix('*').lstrip('.')}/") or "")


def _regex_of(url: str) -> str:
    """Return the pattern of a canonical URL with stars. What stands between two stars is looked for once
    (an atomic group), so that no URL takes long."""
    first, *others = url.split(_STAR)
    regex, path_begins = re.escape(first), first.count("/") > 2
    for number, text in enumerate(others):
        star = "." if path_begins else "[^/]"
        last = number == len(others) - 1
        regex += f"{star}*{re.escape(text)}" if last else f"(?>{star}*?{re.escape(text)})"
        path_begins = path_begins or "/" in text
    return regex


def read_do_not_fetch(paths: str) -> DoNotFetch:
    """Return what stands in a file now, or in several with commas between; the empty list for "". Raises
    ValueError where one cannot be read or holds what could never match."""
    try:
        names = [paths] if Path(paths).is_file() else paths.split(SEPARATOR)
        files = [(path, Path(path).stat()) for path in filter(None, names)]
        listed = _read(tuple((path, stamp.st_mtime_ns, stamp.st_size) for path, stamp in files))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"fetch.do-not-fetch: {paths} cannot be read ({error}): give a text file, one entry per line"
        ) from error
    if listed.pdqs:
        check_pdq()
    return listed


@functools.lru_cache(maxsize=4)
def _read(stamped: tuple[tuple[str, int, int], ...]) -> DoNotFetch:
    """Read the files anew where one has another time or size."""
    texts = [Path(path).read_text(encoding="utf-8") for path, _, _ in stamped]
    if len(texts) < 2:
        return DoNotFetch.parse(texts[0], stamped[0][0]) if texts else DoNotFetch()
    for (path, _, _), text in zip(stamped, texts, strict=True):
        DoNotFetch.parse(text, path)  # a line that is wrong is told with its own file
    return DoNotFetch.parse("\n".join(texts))
