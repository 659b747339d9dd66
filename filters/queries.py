"""Search terms: reading the list, and finding every term that occurs in a caption."""

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ahocorasick_rs import AhoCorasick, Implementation

from filters.words import words_of

MatchMode = Literal["casefold", "exact", "metaclip"]

# MetaCLIP's marks: a space goes to both sides of each; any other sign sticks to its word.
_METACLIP_MARKS = ",.;:?!`"
_METACLIP_BLANKS = "\t\n\r"


class QueryIndex:
    """Finds all of many search terms in a caption, in one pass over it, whatever their number.

    "casefold" (the default) finds "Red Umbrella" in "a red umbrella"; "exact" minds the case. Words are those
    of `words_of`; a term without any word is never found. "metaclip" compares as MetaCLIP does, to the
    letter: see `metaclip_spacing`. 500,000 terms take some 90 MB.
    """

    def __init__(self, queries: Iterable[str], mode: MatchMode = "casefold") -> None:
        self._mode: MatchMode = mode
        self._query_ids = array("I")
        automaton = AhoCorasick(
            self._patterns(queries),
            implementation=Implementation.ContiguousNFA,  # a DFA is many times larger
            store_patterns=False,
        )
        self._find = automaton.find_matches_as_indexes
        self._num_patterns = len(self._query_ids)
        # Mostly every term has a pattern, and the pattern's number is the term's.
        self._same_ids = self._num_patterns == 0 or self._query_ids[-1] == self._num_patterns - 1

    def matches(self, caption: str) -> list[int]:
        """Return the positions, rising and distinct, of all terms that occur in the caption as whole words.

        >>> QueryIndex(["umbrella", "red umbrella", "red", "umbrellas"]).matches("A red umbrella")
        [0, 1, 2]
        """
        if not self._num_patterns:
            return []
        # A space on both sides of each term and of the text makes every match begin and end at a word.
        words = metaclip_spacing(caption) if self._mode == "metaclip" else words_of(caption, self._mode)
        patterns = {pattern for pattern, _, _ in self._find(f" {words} ", overlapping=True)}
        if self._same_ids:
            return sorted(patterns)
        return sorted(self._query_ids[pattern] for pattern in patterns)

    def _patterns(self, queries: Iterable[str]) -> Iterator[str]:
        """Yield what to look for, one at a time, so that no second copy of the list is in memory."""
        for query_id, query in enumerate(queries):
            words = comparable(query, self._mode)
            if words or self._mode == "metaclip":
                self._query_ids.append(query_id)
                yield f" {words} "


def comparable(query: str, mode: MatchMode) -> str:
    """Return what two search terms share when they find the same captions."""
    return query if mode == "metaclip" else words_of(query, mode)


def metaclip_spacing(text: str) -> str:
    """Return the text with a space on both sides of , . ; : ? ! and `, and for each tab and line end.

    MetaCLIP's rule (`substr_matching.spacing`): an entry is found where it stands, in this text, between
    spaces. Case counts, and other signs do not part words.

    >>> metaclip_spacing("New York, (at night)")
    'New York ,  (at night)'
    """
    for mark in _METACLIP_MARKS:
        if mark in text:
            text = text.replace(mark, f" {mark} ")
    for blank in _METACLIP_BLANKS:
        if blank in text:
            text = text.replace(blank, " ")
    return text


def read_queries(path: Path | str, mode: MatchMode = "casefold") -> list[str]:
    """Return the terms of a UTF-8 text file, one per line, in its order.

    Blank lines, lines that begin with "#", and lines without any word are skipped; of terms that find
    the same ("Red umbrella", "red-umbrella") the first is kept. Raises ValueError where nothing is left, or
    the file is no UTF-8 text.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as such"
        ) from error
    first_of: dict[str, str] = {}
    for line in text.splitlines():
        term = line.strip()
        words = comparable(term, mode)
        if words and not term.startswith("#"):
            first_of.setdefault(words, term)
    if not first_of:
        raise ValueError(f"{path} holds no search term: write one per line")
    return list(first_of.values())


def queries_sha256(queries: Sequence[str]) -> str:
    """Return the SHA-256 of the numbered list: equal where every term has the same number."""
    return hashlib.sha256("".join(f"{query}\n" for query in queries).encode()).hexdigest()
