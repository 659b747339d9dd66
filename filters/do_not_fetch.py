"""The do-not-fetch list: domains, URL prefixes and pictures that must never be asked for or kept."""

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from filters.reasons import Drop, Reason
from filters.urls import blocked_domain, canonical_url, host_of

MAX_PHASH_BITS = 4
"""Bits in which a perceptual hash may differ from a listed one, so that resized copies are found too."""

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-f]{64})", re.IGNORECASE)
_PHASH = re.compile(r"phash:([0-9a-f]{16})", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class DoNotFetch:
    """What a do-not-fetch file holds. One entry a line; empty lines and those that begin with # are left out.

    example.com                  a domain, with everything under it
    https://example.com/private/ every URL that begins so
    sha256:9f86d0...             a file, by the hash of its bytes
    phash:c3d2e1f0a5b49687       a picture, by its perceptual hash, as stands in an index
    """

    domains: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    sha256s: frozenset[str] = frozenset()
    phashes: tuple[int, ...] = ()

    @classmethod
    def parse(cls, text: str, name: str = "do-not-fetch list") -> "DoNotFetch":
        """Read the lines of a file. Raises ValueError at one that could never match, with its number."""
        domains, prefixes, sha256s, phashes = set(), [], set(), []
        for number, line in enumerate(text.splitlines(), start=1):
            entry = line.strip()
            if not entry or entry.startswith("#"):
                continue
            if match := _SHA256.fullmatch(entry):
                sha256s.add(match[1].lower())
            elif match := _PHASH.fullmatch(entry):
                phashes.append(int(match[1], 16))
            elif "://" in entry and (url := canonical_url(entry)):
                prefixes.append(url)
            elif "." in entry and "/" not in entry and (url := canonical_url(f"http://{entry.lstrip('.')}/")):
                domains.add(host_of(url))
            else:
                raise ValueError(
                    f"{name}, line {number}: {entry!r} is no domain, no http or https URL, no sha256:HASH "
                    "and no phash:HASH: write it as one of these, or begin the line with #"
                )
        return cls(
            domains=frozenset(domains),
            prefixes=tuple(prefixes),
            sha256s=frozenset(sha256s),
            phashes=tuple(phashes),
        )

    def check_url(self, url: str) -> Drop | None:
        """Return why a canonical URL may not be asked for; None allows it."""
        if self.prefixes and url.startswith(self.prefixes):
            return Drop(Reason.URL_BLOCKED, "this URL is on the do-not-fetch list")
        if self.domains and (domain := blocked_domain(host_of(url), self.domains)):
            return Drop(Reason.URL_BLOCKED, f"domain {domain} is on the do-not-fetch list")
        return None

    def check_sha256(self, sha256: str) -> Drop | None:
        """Return why a file with this hash (64 hex digits) may not be kept; None allows it."""
        if sha256 in self.sha256s:
            return Drop(Reason.PICTURE_BLOCKED, f"sha256 {sha256} is on the do-not-fetch list")
        return None

    def check_phash(self, phash: int) -> Drop | None:
        """Return why a picture with this 64-bit perceptual hash may not be kept; None allows it."""
        for listed in self.phashes:
            if (distance := (phash ^ listed).bit_count()) <= MAX_PHASH_BITS:
                detail = f"phash {phash:016x} is {distance} bits from {listed:016x} on the do-not-fetch list"
                return Drop(Reason.PICTURE_BLOCKED, detail)
        return None


def read_do_not_fetch(path: str) -> DoNotFetch:
    """Return the list in a file as it stands now, the empty one for "". Raises ValueError where it cannot be
    read or holds what could never match."""
    if not path:
        return DoNotFetch()
    try:
        stamp = Path(path).stat()
        return _read(path, stamp.st_mtime_ns, stamp.st_size)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"fetch.do-not-fetch: {path} cannot be read ({error}): give a text file, one entry per line"
        ) from error


@functools.lru_cache(maxsize=4)
def _read(path: str, _mtime_ns: int, _size: int) -> DoNotFetch:
    return DoNotFetch.parse(Path(path).read_text(encoding="utf-8"), path)
