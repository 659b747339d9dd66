"""The tables of checks: the first reason wins, and each field of a table is a check."""

import time
from dataclasses import fields
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from filters.checks import (
    ImageChecks,
    ScreenedCaption,
    TextChecks,
    screen_caption,
    screen_captions,
    screen_image,
)
from filters.language import Language
from filters.reasons import Reason
from filters.text import normalise_caption

FIRST = [
    ("IMG_2034 porn.jpg", Reason.CAPTION_FILE_NAME),
    ("porno en la playa", Reason.CAPTION_UNSAFE),
    ("Un paraguas rojo en la playa", Reason.CAPTION_LANGUAGE),
]


@pytest.mark.parametrize(("caption", "reason"), FIRST)
def test_the_first_reason_wins(caption: str, reason: Reason) -> None:
    drop = screen_caption(caption, TextChecks()).drop
    assert drop is not None
    assert drop.reason == reason


def test_a_kept_caption_has_its_language() -> None:
    screened = screen_caption("A red umbrella on the beach", TextChecks())
    assert screened.drop is None
    assert screened.guess == Language().guess("A red umbrella on the beach")


def test_a_caption_dropped_for_its_language_has_it_too() -> None:
    guess = screen_caption("Un paraguas rojo en la playa", TextChecks()).guess
    assert guess is not None
    assert guess.language == "es"


def test_a_caption_dropped_before_has_no_language() -> None:
    assert screen_caption("IMG_2034.jpg", TextChecks()).guess is None


def test_the_fields_of_a_table_are_its_checks_in_order() -> None:
    checks = TextChecks(language=Language(keep=("es",)))
    assert [name for name, _ in checks] == [field.name for field in fields(TextChecks)]
    assert [check for _, check in checks] == [getattr(checks, field.name) for field in fields(TextChecks)]


def test_a_small_picture_is_dropped_by_its_header() -> None:
    buffer = BytesIO()
    Image.new("RGB", (70, 63)).save(buffer, "PNG")
    screened = screen_image(buffer.getvalue(), ImageChecks())
    assert str(screened.drop) == "image_too_small: shorter side 63 px < 64 px"


def test_bytes_that_are_no_picture_are_dropped() -> None:
    drop = screen_image(b"<html>", ImageChecks()).drop
    assert drop is not None
    assert drop.reason == Reason.NOT_AN_IMAGE


@given(st.text(st.characters(exclude_categories=())))
def test_no_caption_raises(caption: str) -> None:
    screen_caption(caption, TextChecks())


@given(
    st.lists(st.sampled_from([caption for caption, _ in FIRST] + ["a red umbrella", "jane@example.com, UK"]))
)
def test_many_captions_are_screened_as_one_by_one(captions: list[str]) -> None:
    checks = TextChecks()
    assert screen_captions(captions, checks) == [screened_alone(caption, checks) for caption in captions]


def screened_alone(caption: str, checks: TextChecks) -> ScreenedCaption:
    """The slow obvious twin: one caption through one check after another."""
    guess = None
    for name, check in checks:
        measurement = check.measure(caption)
        guess = measurement if name == "language" else guess
        if drop := check.check(measurement):
            return ScreenedCaption(drop=drop, guess=guess)
    return ScreenedCaption(drop=None, guess=guess)


HOSTILE = [
    "+1111111111111111111111111111x ",
    "a@b.",
    "!1!0",
    "a b ",
    "a",
    "<a <b ",
    "[a b=c ",
    "f*",
    "аa",
    "a. ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_caption_takes_long(piece: str) -> None:
    checks = TextChecks()
    screen_caption("a red umbrella", checks)  # the models are loaded
    started = time.process_time()
    for _, check in checks:
        check.check(check.measure(normalise_caption(piece * (4000 // len(piece)))))
    assert time.process_time() - started < 0.5
