"""Unsafe captions: sexually explicit, hateful or gory words, from the list shipped here and from others."""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from filters.reasons import Drop, Reason
from filters.word_lists import Severity, Term, read_word_lists

_SHIPPED = Path(__file__).parent / "data" / "unsafe_en.txt"
_GRADES: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True, kw_only=True)
class UnsafeWords:
    """Drops captions that hold a word or phrase of a list, as whole words: "Essex" and "blue tit" are kept.

    Words are found in disguise too ("p0rn", "f u c k", "sh*t"). What the shipped list finds, and what it
    takes by mistake, stands in docs/filters.md.
    """

    use_shipped_list: bool = True
    """Use filters/data/unsafe_en.txt, about 360 English terms."""
    list_paths: tuple[str, ...] = ()
    """Further lists of the same form, in any language: filters/word_lists.py says how they are written."""
    min_severity: Severity = "mild"
    """mild: drop for any term. strong: let rude words and anatomy be. severe: let swearing be as well."""

    def measure(self, caption: str) -> tuple[Term, ...]:
        """Return the terms found in a caption, in the order of the lists.

        Raises ValueError where a list is missing or holds no term.
        """
        return self.measure_all([caption])[0]

    def measure_all(self, captions: list[str]) -> list[tuple[Term, ...]]:
        """Return what `measure` returns for each caption, in less time."""
        shipped = (_SHIPPED,) if self.use_shipped_list else ()
        words = read_word_lists((*shipped, *map(Path, self.list_paths)))
        return [words.found_in(caption) for caption in captions]

    def check(self, found: tuple[Term, ...]) -> Drop | None:
        """Return a Drop that names the first term by its first letter and length only, or None."""
        least = _GRADES.index(self.min_severity)
        grave = [term for term in found if _GRADES.index(term.severity) >= least]
        if not grave:
            return None
        more = f" and {len(grave) - 1} more" if len(grave) > 1 else ""
        return Drop(Reason.CAPTION_UNSAFE, f"holds {masked(grave[0].text)} ({grave[0].severity}){more}")


def masked(term: str) -> str:
    """Return a term that may be shown: the first letter of each word, dots for the rest.

    >>> masked("blue tit")
    'b... t..'
    """
    return " ".join(word[0] + "." * (len(word) - 1) for word in term.split())
