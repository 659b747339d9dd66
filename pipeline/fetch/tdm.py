"""TDM-Reservation: rights to text and data mining that a site reserves (TDMRep, W3C community group, 2024).

It is said in a header of the answer, which supersedes the file for the whole site (section "Processing
priority" of the report).
"""

import re
from dataclasses import dataclass

import orjson
from yarl import URL

TDM_PATH = "/.well-known/tdmrep.json"
MAX_TDM_BYTES = 200_000
MAX_RULES = 1_000


@dataclass(frozen=True, slots=True)
class Reservations:
    """The rules of a site's file: (path pattern, whether rights are reserved)."""

    rules: tuple[tuple[str, bool], ...] = ()

    @classmethod
    def parse(cls, body: bytes) -> "Reservations":
        """Read the file; one that is not of its form reserves nothing, as if it were not there.

        >>> Reservations.parse(b'[{"location": "/*", "tdm-reservation": 1}]').reserved(
        ...     URL("http://a.example/cup.jpg")
        ... )
        True
        """
        try:
            entries = orjson.loads(body)
        except orjson.JSONDecodeError:
            entries = None
        if not isinstance(entries, list):
            return cls()
        return cls(
            tuple(
                (entry["location"], entry["tdm-reservation"] in (1, "1"))
                for entry in entries[:MAX_RULES]
                if isinstance(entry, dict)
                and isinstance(entry.get("location"), str)
                and entry.get("tdm-reservation") in (0, 1, "0", "1")
            )
        )

    def reserved(self, url: URL) -> bool | None:
        """Return what the file says of a URL's path, None where it says nothing. The first rule that matches
        decides ("The most specific match is the first in sequence", says the report)."""
        path = url.raw_path_qs
        return next((reserved for pattern, reserved in self.rules if _matches(pattern, path)), None)


def _matches(pattern: str, path: str) -> bool:
    """Match the start of a path; `*` stands for anything, a `$` at the end for the end, `%2A` and `%24` for
    these characters themselves.

    The parts between stars are looked for from left to right, each once: no pattern can take long.

    >>> _matches("/photos/*.jpg$", "/photos/a/cup.jpg"), _matches("/photos/*.jpg$", "/photos/cup.jpg.html")
    (True, False)
    """
    to_end = pattern.endswith("$")
    first, *rest = map(_plain, re.split(r"\*+", pattern.removesuffix("$")))
    path = _plain(path)
    if not path.startswith(first):
        return False
    at = len(first)
    for number, part in enumerate(rest, start=1):
        if to_end and number == len(rest):
            return len(path) - len(part) >= at and path.endswith(part)
        found = path.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return not to_end or at == len(path)


def _plain(part: str) -> str:
    return part.replace("%24", "$").replace("%2A", "*").replace("%2a", "*")


def header_reserves(values: list[str]) -> bool | None:
    """Return what `tdm-reservation` headers say; None where they say nothing that can be read.

    >>> header_reserves(["1"]), header_reserves(["0"]), header_reserves([]), header_reserves(["yes"])
    (True, False, None, None)
    """
    known = {"0": False, "1": True}
    said = [known[value.strip()] for value in values if value.strip() in known]
    return any(said) if said else None
