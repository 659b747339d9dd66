"""Lists of unsafe words: how a list is written, and which of its words stand in a caption.

A term per line; "#" begins a comment; "! phrase" is an exception, inside which no term counts. A line
"[severe]", "[strong]" or "[mild]" says how grave the terms after it are, and "[strong; fine beside: museum
anatomy]" that they mean no harm in a caption with one of those words. Without such a line terms are severe.
"""

import re
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from filters.obfuscation import is_disguised, plain_spellings, starred_words
from filters.queries import QueryIndex
from filters.words import words_of

Severity = Literal["mild", "strong", "severe"]

_SECTION = re.compile(r"\[(\w+)(?:; fine beside: ([^\]]+))?\]")


class Term(NamedTuple):
    """A word or phrase of a list."""

    text: str  # as `words_of` spells it
    severity: Severity
    fine_beside: frozenset[str]  # words that excuse it


class WordList:
    """Terms and exceptions of some lists, ready to be looked for."""

    def __init__(self, lines: list[str]) -> None:
        terms, self._exceptions = _parse(lines)
        self._terms = list(terms.values())
        # Every term is looked for with its simple plural; query_id % number of terms is the term.
        texts = [term.text for term in self._terms]
        self._index = QueryIndex(texts + [_plural(text) for text in texts])
        self._words = [(number, text) for number, text in enumerate(texts) if " " not in text]

    def __len__(self) -> int:
        return len(self._terms)

    def found_in(self, caption: str) -> tuple[Term, ...]:
        """Return the terms in a caption, in the order of the lists, also where they are disguised."""
        numbers = set(self._found_plain(caption))
        if is_disguised(caption):
            for reading in plain_spellings(caption):
                numbers.update(self._found_plain(reading))
            for pattern in starred_words(caption):
                numbers.update(number for number, text in self._words if pattern.fullmatch(text))
        if not numbers:  # nearly always
            return ()
        words = set(words_of(caption).split())
        found = (self._terms[number] for number in sorted(numbers))
        return tuple(term for term in found if words.isdisjoint(term.fine_beside))

    def _found_plain(self, caption: str) -> list[int]:
        found = self._index.matches(caption)
        if found and self._exceptions:
            found = self._index.matches(self._without_exceptions(caption))
        return [query_id % len(self._terms) for query_id in found]

    def _without_exceptions(self, caption: str) -> str:
        text = f" {words_of(caption)} "
        for phrase in self._exceptions:
            # What stood on both sides of the phrase must not become a phrase of its own.
            text = text.replace(f" {phrase} ", " exception ").replace(f" {_plural(phrase)} ", " exception ")
        return text


def _parse(lines: list[str]) -> tuple[dict[str, Term], list[str]]:
    """Return terms by their text, and exceptions, the longest first. Raises ValueError at a wrong section."""
    terms: dict[str, Term] = {}
    exceptions: set[str] = set()
    severity: Severity = "severe"
    fine_beside: frozenset[str] = frozenset()
    for line in (line.partition("#")[0].strip() for line in lines):
        if line.startswith("!"):
            exceptions.add(words_of(line[1:]))
        elif line.startswith("["):
            severity, fine_beside = _section(line)
        elif text := words_of(line):
            terms.setdefault(text, Term(text, severity, fine_beside))
    return terms, sorted(exceptions - {""}, key=lambda phrase: (-len(phrase), phrase))


def _section(line: str) -> tuple[Severity, frozenset[str]]:
    match = _SECTION.fullmatch(line)
    for severity in get_args(Severity):
        if match and match[1] == severity:
            return severity, frozenset(words_of(match[2] or "").split())
    raise ValueError(f"section {line!r}: write [mild], [strong] or [severe], or [mild; fine beside: words]")


def _plural(term: str) -> str:
    # "es" only where English has it: "spices" is not the plural of a slur.
    return term + ("es" if term.endswith(("s", "x", "z", "ch", "sh")) else "s")


@cache
def read_word_lists(paths: tuple[Path, ...]) -> WordList:
    """Return the terms of some files. Raises ValueError where one is missing or holds no term."""
    lines: list[str] = []
    for path in paths:
        try:
            read = ["[severe]", *path.read_text(encoding="utf-8-sig").splitlines()]
            num_terms = len(_parse(read)[0])
        except (OSError, ValueError) as error:
            raise ValueError(
                f"unsafe-word list {path} cannot be read ({error}): give a UTF-8 text file"
            ) from error
        if not num_terms:
            raise ValueError(f"unsafe-word list {path} holds no term: write one per line")
        lines += read
    return WordList(lines)
