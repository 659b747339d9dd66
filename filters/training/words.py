"""Make filters/data/words_en.txt from WordNet's lemmas and a Wikipedia dump: which words count as English.

    python -m filters.training.words --lemmas lemmas_*.txt.gz --dump enwiki-*.xml.bz2 --out words_en.txt

Of the dump only one fact about a word is used: that it stands in lower case.
"""

import bz2
import gzip
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import tyro

from filters.english import choose_words

_HEADER = """\
# English words: those of WordNet 3.0 (Princeton University, WordNet licence), short and inflected ones
# only where a sample of the English Wikipedia uses them, and function words. One per line.
# Licence: words_en.licence.txt. Made by `python -m filters.training.words`; not to be edited.
"""
_PAGE = re.compile(r"<text[^>]*>(.*?)</text>", re.DOTALL)
_MARKUP = re.compile(
    r"\{\{.*?\}\}|&lt;ref.*?/ref&gt;|\[\[[a-z-]+:.*?\]\]|https?://\S+|&lt;.*?&gt;", re.DOTALL
)
_WORD = re.compile(r"[A-Za-z]+")


@dataclass(frozen=True, kw_only=True)
class MakeWords:
    """Where the words come from and where the list goes."""

    lemmas: tuple[Path, ...]
    """WordNet's lemmas, gzipped, the lemma first on each line."""
    dump: Path
    """A Wikipedia dump, .xml.bz2."""
    out: Path


def read_lemmas(paths: Iterable[Path]) -> set[str]:
    """Return the plain lower-case words among the lemmas."""
    words: set[str] = set()
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            words |= {line.split()[0] for line in lines if line.strip()}
    return {word for word in words if word.isascii() and word.isalpha() and word.islower()}


def read_used(dump: Path) -> set[str]:
    """Return the words that stand in lower case on the pages of a dump; redirects do not count."""
    with bz2.open(dump, "rt", encoding="utf-8") as file:
        pages = _PAGE.findall(file.read())
    texts = (_MARKUP.sub(" ", page) for page in pages if not page.startswith("#REDIRECT"))
    return {word for text in texts for word in _WORD.findall(text) if word.islower()}


def main(request: MakeWords) -> None:
    """Write the list."""
    words = choose_words(read_lemmas(request.lemmas), read_used(request.dump))
    request.out.write_text(_HEADER + "".join(f"{word}\n" for word in words), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(MakeWords, description=__doc__))
