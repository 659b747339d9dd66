"""Search terms: reading the list, and finding every term that occurs in a caption."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from ahocorasick_rs import AhoCorasick, Implementation

from filters.words import Mode, words_of


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
