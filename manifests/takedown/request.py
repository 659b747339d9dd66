"""What an owner asks to be taken down, and which rows that is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.do_not_fetch import caption_line, domain_line, page_line, plain_caption, url_line
from manifests.takedown.entries import DIGITS, KINDS, as_compared, map_spellings, spellings

MAX_DISTANCE = 16
# The columns of an index or of rejections by which rows are found; a table may lack some.
COLUMNS = ("url", "final_url", "page_url", "caption", "sha256", "phash", "expected_hash")
_HOST = r"^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/:?#]+)"

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked for: a row is meant when any one of these fits it."""

    entries: dict[str, frozenset[str]]  # by kind, as they are compared
    max_distance: int = 4
    _spellings: dict[str, pa.Array] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise ValueError where nothing is asked for, or what could never fit."""
        if not any(self.entries.values()):
            raise ValueError(f"nothing to take down: give one of --{', --'.join(KINDS)}, --owner-list")
        if not 0 <= self.max_distance <= MAX_DISTANCE:
            raise ValueError(f"max-distance is {self.max_distance}, of 64 bits: give 0 to {MAX_DISTANCE}")
        spelled = {kind: sorted({*map_spellings(self.entries[kind])}) for kind in ("url", "page")}
        object.__setattr__(
            self, "_spellings", {kind: pa.array(s, pa.string()) for kind, s in spelled.items()}
        )

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str]], max_distance: int) -> "Request":
        """Read (kind, text) entries. Raises ValueError for one that could never fit."""
        read: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for kind, text in entries:
            read[kind].add(as_compared(kind, text))
        return cls(
            entries={kind: frozenset(found) for kind, found in read.items()}, max_distance=max_distance
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many entries of each kind there are."""
        return {kind: len(self.entries[kind]) for kind in KINDS if self.entries[kind]}

    @property
    def digest(self) -> str:
        """The SHA-256 of the request, by which its owner can show that it was this one."""
        plain = {kind: sorted(self.entries[kind]) for kind in KINDS} | {"max_distance": self.max_distance}
        return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    @property
    def names_pictures(self) -> bool:
        """Whether pictures are meant, wherever they came from."""
        return bool(self.entries["sha256"] or self.entries["phash"])

    def lines(self) -> set[str]:
        """Return what keeps out whatever fits the request in days to come."""
        urls = {url_line(url) for entry in self.entries["url"] for url in spellings(entry)}
        pages = {page_line(page) for entry in self.entries["page"] for page in spellings(entry)}
        domains = set(map(domain_line, self.entries["domain"]))
        captions = set(map(caption_line, self.entries["caption"]))
        pictures = {f"{kind}:{digits}" for kind in DIGITS for digits in self.entries[kind]}
        return urls | pages | domains | captions | pictures

    def mask(self, table: pa.Table) -> Mask:
        """Return bool (N,): the rows that are meant, by any of COLUMNS that the table has."""
        found = self.picture_mask(table)
        for name in ("url", "final_url"):
            if self.entries["url"] and name in table.column_names:
                found |= _is_in(table[name], self._spellings["url"])
        if self.entries["page"] and "page_url" in table.column_names:
            pages = pc.replace_substring_regex(table["page_url"], "#.*", "")
            found |= _is_in(pages, self._spellings["page"])
        for name in ("url", "final_url", "page_url"):
            if self.entries["domain"] and name in table.column_names:
                found |= _below(table[name], self.entries["domain"])
        if self.entries["caption"]:
            found |= np.array([self.names_caption(text) for text in table["caption"].to_pylist()], dtype=bool)
        return found

    def picture_mask(self, table: pa.Table) -> Mask:
        """Return bool (N,): the rows whose pictures are meant, by their bytes or by their looks."""
        found = np.zeros(len(table), dtype=bool)
        digests = pa.array(sorted(self.entries["sha256"]), pa.string())
        if len(digests) and "sha256" in table.column_names:
            found |= _is_in(table["sha256"], digests)
        if len(digests) and "expected_hash" in table.column_names:
            found |= _is_in(table["expected_hash"], pc.binary_join_element_wise("sha256", digests, ":"))
        if self.entries["phash"] and "phash" in table.column_names:
            known = pc.is_valid(table["phash"]).to_numpy().astype(bool)
            looks = pc.fill_null(table["phash"], 0).to_numpy()
            for digits in sorted(self.entries["phash"]):
                differing = np.bitwise_count(looks ^ np.uint64(int(digits, 16)))
                found |= known & (differing <= self.max_distance)
        return found

    def names_caption(self, caption: str | None) -> bool:
        """Return whether a caption is meant."""
        return caption is not None and plain_caption(caption) in self.entries["caption"]


def _is_in(column: pa.ChunkedArray, values: pa.Array) -> Mask:
    found: Mask = pc.is_in(column, value_set=values.cast(column.type)).to_numpy().astype(bool)
    return found


def _below(urls: pa.ChunkedArray, domains: frozenset[str]) -> Mask:
    """Return bool (N,): the URLs whose host is or lies under one of the domains."""
    hosts = pc.struct_field(pc.extract_regex(urls, _HOST), "host").combine_chunks().dictionary_encode()
    meant = [_is_below(host, domains) for host in hosts.dictionary.to_pylist()]
    return _is_in(pa.chunked_array([hosts.indices]), pa.array(np.flatnonzero(meant), pa.int64()))


def _is_below(host: Any, domains: frozenset[str]) -> bool:
    place = host.lower().rstrip(".")
    while place and place not in domains:
        place = place.partition(".")[2]
    return bool(place)
