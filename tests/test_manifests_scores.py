"""Limits of scores: at, below and above; what is refused."""

import pytest

from manifests.scores import Limits, float32, number_or_none, shortest

KNOWN = ("nsfw", "clip")


@pytest.mark.parametrize(
    ("least", "most", "score", "broken"),
    [
        ("clip=0.5", None, 0.5, None),
        ("clip=0.5", None, 0.50000006, None),
        ("clip=0.5", None, 0.49999997, "clip 0.49999997 < 0.5"),
        (None, "clip=0.1", float32(0.1), None),
        (None, "clip=0.1", 0.09999999, None),
        (None, "clip=0.1", 0.10000001, "clip 0.10000001 > 0.1"),
        ("clip=0.5", None, None, "clip has no score"),
        (None, "clip=0.5", None, "clip has no score"),
        ("clip=0.2", "clip=0.4", 0.3, None),
        ("clip=0.2", "clip=0.4", 0.5, "clip 0.5 > 0.4"),
        (None, "nsfw=0.5", -3.0, "nsfw has no score"),
        (None, None, None, None),
    ],
)
def test_a_limit_is_broken_below_or_above_it_and_by_nothing_at_all(
    least: str | None, most: str | None, score: float | None, broken: str | None
) -> None:
    limits = Limits.parse([least] if least else [], [most] if most else [], KNOWN)
    assert limits.broken({"clip": score}) == broken


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("beauty=1", "is of no score, or its second; scores: nsfw, clip"),
        ("nsfw", "is no number: write nsfw=0.5"),
        ("nsfw=high", "is no number"),
        ("nsfw=1e99", "is no number"),
        ("nsfw=nan", "must be finite"),
        ("nsfw=inf", "must be finite"),
    ],
)
def test_a_limit_that_is_none_is_refused(entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Limits.parse([entry], [], KNOWN)
    with pytest.raises(ValueError, match="its second"):
        Limits.parse(["nsfw=1", "nsfw=2"], [], KNOWN)


def test_what_is_no_number_is_no_score() -> None:
    assert number_or_none(float("nan")) is None
    assert number_or_none(float("inf")) is None
    assert number_or_none(0.1) == float32(0.1)
    assert shortest(1e-12) == "1e-12"
