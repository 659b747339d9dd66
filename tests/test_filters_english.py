"""English words: what is taken into the list, and the share of a caption that they make up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.english import choose_words, english_words, known_share, letters_of

SHARES = [
    ("Red umbrella", 1.0),
    ("RED UMBRELLA 2019", 1.0),
    ("red paraguas", 3 / 11),
    ("abathathi okanye", 0.0),
    ("2019", 0.0),
    ("", 0.0),
]


@pytest.mark.parametrize(("caption", "share"), SHARES)
def test_the_share_of_known_letters_is_counted(caption: str, share: float) -> None:
    assert known_share(letters_of(caption), english_words()) == pytest.approx(share)


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_has_a_share(text: str) -> None:
    letters = letters_of(text)
    assert 0 <= known_share(letters, english_words()) <= 1
    letters.decode()


def test_a_word_is_listed_by_its_dictionary_and_short_ones_by_use_as_well() -> None:
    listed = choose_words({"stop", "umbrella", "ba", "red", "hid"}, {"stopped", "ba", "red", "wugs"})
    assert {"stopped", "stop", "umbrella", "red", "the"} <= set(listed)
    assert {"stops", "ba", "wugs", "hid"}.isdisjoint(listed)


def test_the_shipped_list_holds_words_and_their_plurals() -> None:
    assert {b"umbrella", b"umbrellas", b"the", b"cat"} <= english_words()
    assert {b"le", b"und", b"avec", b"#"}.isdisjoint(english_words())
