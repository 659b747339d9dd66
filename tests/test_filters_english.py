"""English words: what is taken into the list, and the share of a caption that they make up."""

import bz2
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.english import choose_words, english_words, known_share, letters_of
from filters.training.words import MakeWords, main

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


def test_the_list_is_made_of_a_dictionary_and_a_dump(tmp_path: Path) -> None:
    (tmp_path / "lemmas.gz").write_bytes(
        gzip.compress(b"umbrella n 1\nred a 2\nred_hot a 1\nParis n 1\nhid v 1\n")
    )
    pages = (
        "<text>A red {{dog}} &lt;ref&gt;hid&lt;/ref&gt; umbrella [[File:x]]</text><text>#REDIRECT hid</text>"
    )
    (tmp_path / "dump.bz2").write_bytes(bz2.compress(pages.encode()))
    out = tmp_path / "words.txt"
    main(MakeWords(lemmas=(tmp_path / "lemmas.gz",), dump=tmp_path / "dump.bz2", out=out))
    words = set(out.read_text().splitlines())
    assert {"red", "umbrella", "the"} <= words
    assert {"red_hot", "Paris", "hid", "dog"}.isdisjoint(words)
