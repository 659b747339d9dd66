"""English words, and how much of a caption they make up: a second witness beside the language model."""

from functools import cache
from pathlib import Path

_SHIPPED = Path(__file__).parent / "data" / "words_en.txt"
# Letters stay, and the bytes of letters beyond ASCII, which are part of their word; the rest parts words.
_LETTERS = bytes(code if code >= 128 or chr(code).islower() else 32 for code in range(256))
_LOWERED = _LETTERS[:65] + _LETTERS[97:123] + _LETTERS[91:]  # capitals too, where they are ASCII


def letters_of(text: str) -> bytes:
    """Return a text in lower case with spaces for digits and signs, in UTF-8; never raises.

    >>> letters_of("Men's T-shirt, café (2 pcs)").split()
    [b'men', b's', b't', b'shirt', b'caf\\xc3\\xa9', b'pcs']
    """
    if text.isascii():  # most are, and it is the quicker way to the same bytes
        return text.encode().translate(_LOWERED)
    return text.casefold().encode("utf-8", "replace").translate(_LETTERS)


def known_share(letters: bytes, known_words: frozenset[bytes]) -> float:
    """Return the share of the letters that stand in known words, 0..1; 0 without letters.

    Counted in letters, so that "de la" weighs less than "strawberry".

    >>> known_share(letters_of("Red okanye"), english_words())
    0.3333333333333333
    """
    words = letters.split()
    known = len(b"".join(filter(known_words.__contains__, words)))
    return known / len(b"".join(words)) if known else 0.0


@cache
def english_words() -> frozenset[bytes]:
    """Return the shipped words, with the plain plurals of those of five letters and more, in ASCII."""
    lines = _SHIPPED.read_bytes().split(b"\n")
    listed = [line for line in lines if line and not line.startswith(b"#")]
    return frozenset(listed).union(word + b"s" for word in listed if len(word) >= 5)


def choose_words(lemmas: set[str], used: set[str]) -> list[str]:
    """Return the list, sorted: which words count as English.

    `lemmas` are a dictionary's words in lower case, `used` those that stand in lower case in English text.
    Words of one or two letters are too often words of other languages ("ba", "re", "la"); those of three must
    be in use, as must inflected forms.
    """
    inflected = {word for word in used if len(word) >= 3 and any(base in lemmas for base in _bases(word))}
    return sorted(_FUNCTION_WORDS | inflected | {word for word in lemmas if len(word) >= 4})


def _bases(word: str) -> list[str]:
    """Return what a word may be a form of, itself included."""
    bases = [word]
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            stem = word[: -len(ending)]
            bases += [stem + instead]
            if ending in ("ed", "ing") and stem[-1] == stem[-2]:
                bases += [stem[:-1]]  # "stopped"
    return bases


_ENDINGS = (
    ("s", ""),
    ("es", ""),
    ("ies", "y"),
    ("ed", ""),
    ("ed", "e"),
    ("ied", "y"),
    ("ing", ""),
    ("ing", "e"),
    ("er", ""),
    ("er", "e"),
    ("est", ""),
    ("ly", ""),
)
# What a dictionary of nouns, verbs, adjectives and adverbs leaves out.
_FUNCTION_WORDS = set(
    """
    the of and to in a is was for as on with by that he it from his at are an be or which this were has had
    not also but have their they its been who one all her she more most other can may some such into than
    only when between there no if would about then so these after out up over where any both use will made
    during under many each through while because did how first two three four five you your my our we me us
    them what do does don just very new here own off down like get got see
    """.split()  # noqa: SIM905 - a column of a hundred words is no easier to read
)
