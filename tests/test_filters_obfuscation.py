"""Disguised words: which other readings a caption has, and which captions have none."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.obfuscation import is_disguised, plain_spellings, starred_words

ALT_TEXTS = Path("../shared/data/text/alttext/laion_test_10000.jsonl.gz")
READINGS = [
    ("wh4t a b1rd", "what a bird"),
    ("d o g", "dog"),
    ("d-o-g show", "dog show"),
    ("doooog", "dog"),
    ("dоg", "dog"),
    ("dög", "dog"),
    ("Ｄｏｇ", "Dog"),
]
AS_THEY_ARE = ["a red umbrella", "1080p", "$300 off", "1940 Ford V8", "4x4 on 4", "A4", "собака", "12 34 56"]


@pytest.mark.parametrize(("caption", "reading"), READINGS)
def test_a_disguise_is_taken_off(caption: str, reading: str) -> None:
    assert is_disguised(caption)
    assert reading in plain_spellings(caption)


@pytest.mark.parametrize("caption", AS_THEY_ARE)
def test_numbers_and_other_alphabets_are_no_disguise(caption: str) -> None:
    assert plain_spellings(caption) == []


STARRED = [("f**k", "fork", True), ("f**k", "fooork", False), ("sh*t", "shot", True), ("a****", "a", False)]


@pytest.mark.parametrize(("word", "other", "fits"), STARRED)
def test_asterisks_stand_for_a_letter_each(word: str, other: str, fits: bool) -> None:
    assert any(pattern.fullmatch(other) for pattern in starred_words(f"what the {word}")) == fits


@given(st.text(st.characters(exclude_categories=()), max_size=60))
def test_a_caption_that_is_not_disguised_has_no_other_reading(caption: str) -> None:
    assert is_disguised(caption) or plain_spellings(caption) + starred_words(caption) == []


def test_of_real_alt_texts_all_with_another_reading_count_as_disguised() -> None:
    if not ALT_TEXTS.exists():
        pytest.skip(f"{ALT_TEXTS} is absent: third-party texts are not part of the project")
    with gzip.open(ALT_TEXTS, "rt") as lines:
        captions = [json.loads(line)["text"] for line in lines]
    assert [text for text in captions if plain_spellings(text) and not is_disguised(text)] == []
