"""Search terms in captions: the fast index against the slow obvious way, and lists read from files."""

import bz2
import gzip
import hashlib
import json
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.queries import QueryIndex, metaclip_spacing, queries_sha256, read_queries
from filters.words import Mode, words_of
from tests.bench.match import make_captions, make_queries

TEXTS = Path(__file__).parents[2] / "shared" / "data" / "text"
ALTTEXT = TEXTS / "alttext" / "laion_test_10000.jsonl.gz"
WIKIPEDIA = TEXTS / "wikipedia" / "enwiki-latest-pages-articles1-shortened.xml.bz2"


def slow_matches(queries: list[str], caption: str, mode: Mode) -> list[int]:
    """Slide every term over the caption's words."""
    words = words_of(caption, mode).split()
    found = []
    for query_id, query in enumerate(queries):
        term = words_of(query, mode).split()
        windows = [words[start : start + len(term)] for start in range(len(words) - len(term) + 1)]
        if term and term in windows:
            found.append(query_id)
    return found


WORD = st.sampled_from(
    ["a", "A", "b", "ab", "a's", "é", "e\u0301", "red", "紅", "紅傘", "-", "_", "'", "", "ß", "हैश"]
)
TEXT = st.one_of(st.lists(WORD, max_size=8).map(" ".join), st.lists(WORD, max_size=6).map("".join), st.text())
MODE: st.SearchStrategy[Mode] = st.sampled_from(["casefold", "exact"])


@given(st.lists(TEXT, max_size=12), TEXT, MODE)
def test_the_index_finds_what_the_slow_way_finds(queries: list[str], caption: str, mode: Mode) -> None:
    assert QueryIndex(queries, mode).matches(caption) == slow_matches(queries, caption, mode)


@given(TEXT, TEXT, TEXT, MODE)
def test_a_term_is_found_between_any_other_words(before: str, query: str, after: str, mode: Mode) -> None:
    found = QueryIndex([query], mode).matches(f"{before} , {query} , {after}")
    assert found == ([0] if words_of(query, mode) else [])


@given(TEXT)
def test_one_space_stands_between_words_and_none_around(text: str) -> None:
    assert words_of(text) == " ".join(words_of(text).split())


FOUND = [
    ("red umbrella", "A Red Umbrella, open", True),
    ("red umbrella", "a red-umbrella", True),
    ("red umbrella", "red_umbrella_2.jpg", True),
    ("red umbrella", "red, umbrella", True),  # commas part words; they do not part phrases
    ("red umbrella", "a red and white umbrella", False),
    ("red umbrella", "red umbrellas", False),
    ("red umbrella", "tired umbrella", False),
    ("queen", "the Queen's guard", True),
    ("queen's", "the queen’s guard", True),
    ("don", "I don't know", False),
    ("o'neill", "Shaquille O’Neill", True),
    ("t-shirt", "blue T shirt", True),
    ("straße", "HAUPT STRASSE", True),
    ("café", "a cafe\u0301 in Paris", True),
    ("cafe", "a café in Paris", False),
    ("傘", "赤い傘の写真", True),
    ("赤い傘", "赤い傘の写真", True),
    ("赤傘", "赤い傘の写真", False),
    ("ร่ม", "ภาพร่มสีแดง", True),
    ("हैश", "हैश चिह्न", True),
    ("है", "हैश चिह्न", False),
]


@pytest.mark.parametrize(("query", "caption", "found"), FOUND)
def test_a_term_is_found_as_whole_words(query: str, caption: str, found: bool) -> None:
    assert QueryIndex([query]).matches(caption) == ([0] if found else [])


def test_terms_that_overlap_are_all_found() -> None:
    queries = ["new york", "york city", "new york city", "york", "city hall", "new"]
    assert QueryIndex(queries).matches("New York City Hall") == [0, 1, 2, 3, 4, 5]


def test_terms_of_the_same_words_are_all_found_once() -> None:
    assert QueryIndex(["red", "Red", "red!"]).matches("red red red") == [0, 1, 2]


def test_exact_mode_minds_the_case() -> None:
    assert QueryIndex(["Apple", "apple"], mode="exact").matches("An Apple a day") == [0]


SPACED = [
    ("dog", "a dog", True),
    ("dog", "a dog.", True),
    ("dog", "a\tdog\n", True),
    ("dog", "Dog", False),
    ("dog", "(dog)", False),
    ("dog", '"dog"', False),
    ("dog", "dog-house", False),
    ("New York", "New York, 1999", True),
    ("New York", "New  York", False),
    ("New York", "new york", False),
    ("Mr.", "Mr. Bean", False),  # the mark is parted from the text, not from the entry
    ("", "one, two", True),  # two blanks in a row, as the substring rule has it
]


@pytest.mark.parametrize(("query", "caption", "found"), SPACED)
def test_metaclip_mode_parts_words_at_seven_marks_only(query: str, caption: str, found: bool) -> None:
    assert QueryIndex([query], "metaclip").matches(caption) == ([0] if found else [])


def substring_loop(queries: list[str], caption: str) -> list[int]:
    """MetaCLIP's rule as it is written: blanks around the text and around seven marks, then a search."""
    text = f" {caption} "
    for mark in [",", ".", ";", ":", "?", "!", "`"]:
        text = text.replace(mark, f" {mark} ")
    for blank in ["\t", "\n", "\r"]:
        text = text.replace(blank, " ")
    return [query_id for query_id, query in enumerate(queries) if f" {query} " in text]


@given(st.lists(TEXT, max_size=12), TEXT)
def test_metaclip_mode_finds_what_the_substring_loop_finds(queries: list[str], caption: str) -> None:
    queries = [query for query in queries if query.isprintable()]
    assert QueryIndex(queries, "metaclip").matches(caption) == substring_loop(queries, caption)


@pytest.mark.skipif(not ALTTEXT.exists(), reason=f"{ALTTEXT} is not there")
def test_metaclip_mode_finds_what_the_substring_loop_finds_in_20_000_real_texts() -> None:
    with gzip.open(ALTTEXT, "rt", encoding="utf-8") as lines:
        captions = [json.loads(line)["text"] for line in lines]
    with bz2.open(WIKIPEDIA, "rt", encoding="utf-8") as lines:
        captions += list(islice((line for line in lines if len(line) > 30), 20_000 - len(captions)))
    words = Counter(word for text in captions for word in metaclip_spacing(text).split(" "))
    pairs = [" ".join(text.split()[1:3]) for text in captions[::50]]
    queries = sorted({word for word, _ in words.most_common(100)} | set(list(words)[::600]) | set(pairs[::2]))
    index = QueryIndex(queries, "metaclip")
    found = [index.matches(caption) for caption in captions]
    assert found == [substring_loop(queries, caption) for caption in captions]
    assert len(captions) == 20_000 and sum(map(len, found)) > 20_000


@pytest.mark.slow
@pytest.mark.skipif(not ALTTEXT.exists(), reason=f"{ALTTEXT} is not there")
def test_metaclip_mode_finds_what_the_substring_loop_finds_with_500_000_terms() -> None:
    """Ten thousand million searches: 24 minutes on one core."""
    queries, captions = make_queries(), list(islice(make_captions(), 20_000))
    index, spaced = QueryIndex(queries, "metaclip"), [f" {query} " for query in queries]
    assert (len(queries), len(captions)) == (500_000, 20_000)
    for caption in captions:
        text = f" {metaclip_spacing(caption)} "
        assert index.matches(caption) == [query_id for query_id, term in enumerate(spaced) if term in text]


def test_an_index_without_terms_finds_nothing() -> None:
    assert QueryIndex([]).matches("a red umbrella") == []


def test_a_list_is_read_in_order_without_comments_and_repetitions(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("\ufeff# terms\nRed umbrella\n\n  red-umbrella \n!!!\nзонт\r\nblue\n", encoding="utf-8")
    assert read_queries(path) == ["Red umbrella", "зонт", "blue"]
    assert read_queries(path, "metaclip") == ["Red umbrella", "red-umbrella", "!!!", "зонт", "blue"]


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "queries.txt"
    path.write_text("# nothing yet\n")
    with pytest.raises(ValueError, match="holds no search term: write one per line"):
        read_queries(path)


def test_the_hash_of_a_list_depends_on_its_order() -> None:
    assert queries_sha256(["a", "b"]) != queries_sha256(["b", "a"])
    assert queries_sha256(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()
