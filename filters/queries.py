"""Search terms: reading the list, and finding every term that occurs in a caption."""

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from ahocorasick_rs import AhoCorasick, Implementation

Mode = Literal["casefold", "exact"]

# Scripts written without spaces. Each of their characters is a word of its own, so that a term is found
# inside a run of them. Korean writes spaces and is left as it is.
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # ideographic repetition marks and zero
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x20000, 0x323AF),  # rarer Han
)
_APOSTROPHES = "'\u2019\u02bc"
_OUTER_APOSTROPHE = re.compile(rf"(?<![^\W_])[{_APOSTROPHES}]|[{_APOSTROPHES}](?![^\W_])")
_POSSESSIVE = re.compile(rf"[{_APOSTROPHES}](?=[sS](?![^\W_]))")


class _WordCharacters(dict[int, str]):
    """For `str.translate`: a character of a word stays, others become a space. Filled as needed."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if any(first <= code <= last for first, last in _UNSPACED):
            self[code] = f" {char} "
        elif char in _APOSTROPHES:
            self[code] = "'"
        elif char.isalnum() or unicodedata.category(char).startswith("M"):
            self[code] = char  # marks are the vowels of Hindi and Arabic
        else:
            self[code] = " "
        return self[code]


_WORD_CHARACTERS = _WordCharacters()


def words_of(text: str, mode: Mode = "casefold") -> str:
    """Return the words of a text with one space between: what queries and captions are compared by.

    Words are runs of letters, digits and marks, with apostrophes inside; a possessive "'s" is a word of its
    own, so that "queen" is found in "the queen's guard". Hyphens and all other signs part words.

    >>> words_of("The Queen’s T-shirt: don't_wash!")
    "the queen 's t shirt don't wash"
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    if mode == "casefold":
        text = text.casefold()
    if any(apostrophe in text for apostrophe in _APOSTROPHES):
        text = _POSSESSIVE.sub(" '", _OUTER_APOSTROPHE.sub(" ", text))
    return " ".join(text.translate(_WORD_CHARACTERS).split())


class QueryIndex:
    """Finds all of many search terms in a caption, in one pass over it, whatever their number.

    "casefold" (the default) finds "Red Umbrella" in "a red umbrella"; "exact" minds the case. Words are those
    of `words_of`; a term without any word is never found.
    """

    def __init__(self, queries: Sequence[str], mode: Mode = "casefold") -> None:
        self._mode: Mode = mode
        words = [words_of(query, mode) for query in queries]
        self._query_ids = [query_id for query_id, text in enumerate(words) if text]
        self._automaton = AhoCorasick(
            [f" {text} " for text in words if text],
            implementation=Implementation.ContiguousNFA,  # a DFA is many times larger
            store_patterns=False,
        )

    def matches(self, caption: str) -> list[int]:
        """Return the positions, rising and distinct, of all terms that occur in the caption as whole words.

        >>> QueryIndex(["umbrella", "red umbrella", "red", "umbrellas"]).matches("A red umbrella")
        [0, 1, 2]
        """
        if not self._query_ids:
            return []
        # A space on both sides of each term and of the text makes every match begin and end at a word.
        found = self._automaton.find_matches_as_indexes(
            f" {words_of(caption, self._mode)} ", overlapping=True
        )
        return sorted({self._query_ids[term] for term, _, _ in found})


def read_queries(path: Path | str) -> list[str]:
    """Return the terms of a UTF-8 text file, one per line, in its order.

    Blank lines, lines that begin with "#", and lines without any word are skipped; of terms with the same
    words ("Red umbrella", "red-umbrella") the first is kept. Raises ValueError where nothing is left.
    """
    first_of: dict[str, str] = {}
    for line in Path(path).read_text(encoding="utf-8-sig").splitlines():
        term = line.strip()
        words = words_of(term)
        if words and not term.startswith("#"):
            first_of.setdefault(words, term)
    if not first_of:
        raise ValueError(f"{path} holds no search term: write one per line")
    return list(first_of.values())


def queries_sha256(queries: Sequence[str]) -> str:
    """Return the SHA-256 of the numbered list: equal where every term has the same number."""
    return hashlib.sha256("".join(f"{query}\n" for query in queries).encode()).hexdigest()
