"""Unsafe captions: sexually explicit, hateful or gory words, from the list shipped here and from others."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filters.queries import QueryIndex
from filters.reasons import Drop, Reason
from filters.words import words_of

_SHIPPED = Path(__file__).parent / "data" / "unsafe_en.txt"


@dataclass(frozen=True, kw_only=True)
class UnsafeWords:
    """Drops captions that hold a word or phrase of a list, as whole words: "Essex" and "blue tit" are kept.

    Measured with the shipped list: of 10,000 web alt texts (LAION-400M, which had its own filter) it drops
    36, of which 24 are pornography by their words and 12 are jokes, titles and news; of 8,000 textbook,
    product and drawing captions 43, all from history and art. Of texts labelled by people it finds 29 % of
    toxic comments, which are mostly toxic without any such word, 78 % of hateful and 80 % of offensive
    tweets, and it drops 2 % of harmless comments and 3 % of harmless tweets, most for swearing.
    """

    use_shipped_list: bool = True
    """Use filters/data/unsafe_en.txt, about 360 English terms."""
    list_paths: tuple[str, ...] = ()
    """Further lists of the same form: a term per line, "#" comments, "! phrase" for exceptions."""

    def measure(self, caption: str) -> tuple[str, ...]:
        """Return the terms found in a caption, in the order of the lists.

        Raises ValueError where a list is missing or holds no term.
        """
        return _terms(self.use_shipped_list, self.list_paths).found_in(caption)

    def check(self, found: tuple[str, ...]) -> Drop | None:
        """Return a Drop that names the first term by its first letter and length only, or None."""
        if not found:
            return None
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        return Drop(Reason.CAPTION_UNSAFE, f"holds {masked(found[0])}{more}")


def masked(term: str) -> str:
    """Return a term that may be shown: the first letter of each word, dots for the rest.

    >>> masked("blue tit")
    'b... t..'
    """
    return " ".join(word[0] + "." * (len(word) - 1) for word in term.split())


class _Terms:
    """Terms and exceptions of some lists, ready to be looked for."""

    def __init__(self, lines: list[str]) -> None:
        lines = [line.partition("#")[0].strip() for line in lines]
        self._terms = list(dict.fromkeys(words_of(line) for line in lines if line[:1] not in ("", "!")))
        # Every term is looked for with its simple plural; query_id % number of terms is the term.
        self._index = QueryIndex(self._terms + [_plural(term) for term in self._terms])
        exceptions = [words_of(line[1:]) for line in lines if line.startswith("!")]
        self._exceptions = sorted(filter(None, exceptions), key=len, reverse=True)

    def __len__(self) -> int:
        return len(self._terms)

    def found_in(self, caption: str) -> tuple[str, ...]:
        found = self._index.matches(caption)
        if found and self._exceptions:  # few captions come here
            found = self._index.matches(self._without_exceptions(caption))
        return tuple(dict.fromkeys(self._terms[query_id % len(self._terms)] for query_id in found))

    def _without_exceptions(self, caption: str) -> str:
        text = f" {words_of(caption)} "
        for phrase in self._exceptions:
            # What stood on both sides of the phrase must not become a phrase of its own.
            text = text.replace(f" {phrase} ", " exception ").replace(f" {_plural(phrase)} ", " exception ")
        return text


def _plural(term: str) -> str:
    # "es" only where English has it: "spices" is not the plural of a slur.
    return term + ("es" if term.endswith(("s", "x", "z", "ch", "sh")) else "s")


@cache
def _terms(use_shipped_list: bool, list_paths: tuple[str, ...]) -> _Terms:
    paths = [_SHIPPED] if use_shipped_list else []
    lines: list[str] = []
    for path in [*paths, *map(Path, list_paths)]:
        try:
            read = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"unsafe-word list {path} cannot be read ({error}): give a UTF-8 text file"
            ) from error
        if not len(_Terms(read)):
            raise ValueError(f"unsafe-word list {path} holds no term: write one per line")
        lines += read
    return _Terms(lines)
