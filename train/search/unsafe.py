"""Which pictures search hides unless it is told not to: those that somebody or some model has called unsafe.

What says so is a score of the dataset (`scores`, by `python -m train score` or a build's scorers) or another
column of its table (`extra`, or the .json of a plain tar, such as LAION's NSFW and punsafe), by its name.
What nobody has looked at is shown: files of a folder have no scores.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

WORDS = ("nsfw", "unsafe", "porn", "violence", "gore")
LIMIT = 0.5
_SAID = {"nsfw", "unsure", "unsafe", "likely", "very_likely", "true", "yes"}


def is_unsafe(row: Mapping[str, Any], limit: float = LIMIT) -> bool:
    """Return whether a score or a column says that a picture is unsafe.

    >>> is_unsafe({"scores": {"nsfw": 0.7}}), is_unsafe({"scores": {"nsfw": 0.2}}), is_unsafe({})
    (True, False, False)
    >>> is_unsafe({"extra": '{"NSFW": "UNLIKELY"}'}), is_unsafe({"extra": '{"NSFW": "UNSURE"}'})
    (False, True)
    """
    return any(_says_so(value, limit) for name, value in _facts(row) if any(w in name for w in WORDS))


def _facts(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    try:
        extra = json.loads(row.get("extra") or "{}")
    except (ValueError, RecursionError):
        extra = {}
    for facts in (dict(row.get("scores") or {}), extra, row):
        if isinstance(facts, Mapping):
            yield from ((str(name).lower(), value) for name, value in facts.items())


def _says_so(value: Any, limit: float) -> bool:
    if isinstance(value, int | float):  # also True
        return value >= limit
    return isinstance(value, str) and value.strip().lower() in _SAID
