"""The do-not-fetch list: domains, URLs and pictures that must never be asked for or kept."""

import functools
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
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
}
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
    """

    domains: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()  # regular expressions of whole canonical URLs
    sha256s: frozenset[str] = frozenset()
    md5s: frozenset[str] = frozenset()
    phashes: tuple[int, ...] = ()
    pdqs: tuple[str, ...] = ()

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
        return None

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


def read_do_not_fetch(path: str) -> DoNotFetch:
    """Return the list in a file as it stands now, the empty one for "". Raises ValueError where it cannot be
    read or holds what could never match."""
    if not path:
        return DoNotFetch()
    try:
        stamp = Path(path).stat()
        listed = _read(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"fetch.do-not-fetch: {path} cannot be read ({error}): give a text file, one entry per line"
        ) from error
    if listed.pdqs:
        check_pdq()
    return listed


@functools.lru_cache(maxsize=4)
def _read(path: str, _mtime_ns: int, _size: int) -> DoNotFetch:
    return DoNotFetch.parse(Path(path).read_text(encoding="utf-8"), path)
