"""Scores of a pair by name, and the limits that decide by them. What a score means, its scorer knows."""

import math
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

# What is dropped by a limit, and where in the funnel: by a build's models, or later by a trained one.
REASON, STAGE, STAGE_AFTER = "image_score", "score", "clip_score"
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Limits:
    """The least and the most that scores may be, by their names. Compared as they are stored, in float32."""

    least: Mapping[str, float]
    most: Mapping[str, float]

    @classmethod
    def parse(cls, least: Sequence[str], most: Sequence[str], known: Collection[str]) -> "Limits":
        """Read limits such as aesthetic=4.5. Raises ValueError for what is none, or of no known score."""
        return cls(_numbers(least, known), _numbers(most, known))

    def broken(self, scores: Mapping[str, float | None]) -> str | None:
        """Return the first limit that the scores of a pair break, as "nsfw 0.7 > 0.5"; None if they do not.

        What has a limit and no score breaks it: nobody knows that it is good.
        """
        for name in dict.fromkeys((*self.least, *self.most)):
            score, least, most = scores.get(name), self.least.get(name), self.most.get(name)
            if score is None:
                return f"{name} has no score"
            if least is not None and float32(score) < least:
                return f"{name} {shortest(score)} < {shortest(least)}"
            if most is not None and float32(score) > most:
                return f"{name} {shortest(score)} > {shortest(most)}"
        return None


def check_name(name: str) -> None:
    """Raise ValueError for what cannot be a score's name."""
    if not NAME.fullmatch(name):
        raise ValueError(f"a score's name must be of a-z, 0-9 and _, not {name!r}. Next: name it nsfw")


def number_or_none(score: float) -> float | None:
    """Return a score as it is stored: null for what is no finite number."""
    return float32(score) if math.isfinite(score) else None


def float32(value: float) -> float:
    """Return the float32 that is nearest to a number within its range.

    >>> float32(0.1)
    0.10000000149011612
    """
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def shortest(value: float) -> str:
    """Return the fewest digits that mean the same float32: two that differ never look alike.

    >>> shortest(0.10000000149011612), shortest(0.50000006)
    ('0.1', '0.50000006')
    """
    digits = (f"{value:.{count}g}" for count in range(1, 10))
    return next(shown for shown in digits if float32(float(shown)) == float32(value))


def _numbers(entries: Sequence[str], known: Collection[str]) -> dict[str, float]:
    numbers: dict[str, float] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        if name not in known or name in numbers:
            listed = ", ".join(known) or "none"
            raise ValueError(
                f"limit {entry!r} is of no score, or its second; scores: {listed}. Next: NAME=0.5"
            )
        try:
            number = float(value)
            numbers[name] = float32(number)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"limit {entry!r} is no number: write {name}=0.5") from error
        if not math.isfinite(number):
            raise ValueError(f"limit {entry!r} must be finite: leave it out to have none")
    return numbers
