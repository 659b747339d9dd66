"""Words: the one way in which captions, search terms and lists are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.words import Mode, words_of

CUT = [
    ("A red, RED umbrella!", "a red red umbrella"),
    ("T-shirt / t_shirt", "t shirt t shirt"),
    ("The Queen’s guard", "the queen 's guard"),
    ("the dogs' park", "the dogs park"),
    ("rock 'n' roll", "rock n roll"),
    ("don't, O’Neill", "don't o'neill"),
    ("Straße ＡＢＣ", "strasse ａｂｃ"),
    ("cafe\u0301", "café"),
    ("赤い傘 red", "赤 い 傘 red"),
    ("हैश चिह्न", "हैश चिह्न"),
    ("🍎 -- !!!", ""),
    ("", ""),
]


@pytest.mark.parametrize(("text", "words"), CUT)
def test_a_text_is_cut_into_words(text: str, words: str) -> None:
    assert words_of(text) == words


def test_exact_mode_keeps_the_case() -> None:
    assert words_of("The Queen's T-shirt", mode="exact") == "The Queen 's T shirt"


@given(st.text(st.characters(exclude_categories=())), st.sampled_from(["casefold", "exact"]))
def test_one_space_stands_between_words_and_none_around(text: str, mode: Mode) -> None:
    words = words_of(text, mode)
    assert words == " ".join(words.split())
