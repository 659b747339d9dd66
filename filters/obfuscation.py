"""Words in disguise, back to their plain spelling: "p0rn", "f u c k", "shiiit", or with a Cyrillic letter."""

import re
import unicodedata
from itertools import islice

_LEET = str.maketrans("013457@$!|", "oieastasil")
# A word of at least four signs that begins and ends as one, with letters and with digits or signs for others.
_LEET_WORD = re.compile(r"(?<![\w@$])(?=[^\s]*[a-z])[a-z013457@$!|]{4,}(?![\w@$])", re.IGNORECASE)
_LEET_SIGN = re.compile(r"[013457@$!|]")
# An "a" or "I" before them may be a word of its own.
_SPACED = re.compile(r"(?<!\w)([aAI] )?(\w(?:[ ._*-]{1,2}\w){2,})(?!\w)")
_NOT_LETTER = re.compile(r"[\W_]+")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_STARRED = re.compile(r"(?<![\w*])[^\W\d_]+\*+[^\W\d_]*(?![\w*])")
_MIXED = re.compile(r"[^\W\d_]+")
_DISGUISED = re.compile(r"[013457@$!|][a-z]|[a-z][013457@$!|]|(.)\1\1|\b\w[ ._*-]{1,2}\w\b|\*", re.IGNORECASE)
# Letters of other alphabets that look like Latin ones. Only words that mix alphabets are read so.
_LOOKALIKES = str.maketrans(
    "аеорсухіјѕһԁԛԝвкмнтАВЕКМНОРСТУХЅІЈΑΒΕΖΗΙΚΜΝΟΡΤΥΧαεικνορτυχ",
    "aeopcyxijshdqwbkmhtABEKMHOPCTYXSIJABEZHIKMNOPTYXaeiknoptux",
)
_MAX_CHARS = 1000


def is_disguised(caption: str) -> bool:
    """Return whether a caption has anything that `plain_spellings` would change; cheap, and seldom true."""
    return not caption.isascii() or _DISGUISED.search(caption) is not None


def plain_spellings(caption: str) -> list[str]:
    """Return other readings of a caption: without look-alike letters, accents, digits and signs for letters,
    spaces between letters, repeated letters. Empty where there is no other.

    >>> plain_spellings("p0rn"), plain_spellings("p.o.r.n"), plain_spellings("1940 Ford V8")
    (['porn'], ['porn'], [])
    """
    text = _plain_letters(caption[:_MAX_CHARS])
    if _LEET_SIGN.search(text):
        text = _LEET_WORD.sub(_without_leet, text)
    readings = [text]
    if _SPACED.search(text):
        readings = [
            _SPACED.sub(lambda found: _NOT_LETTER.sub("", found[0]), text),
            _SPACED.sub(lambda found: (found[1] or "") + _NOT_LETTER.sub("", found[2]), text),
        ]
    if _REPEATED.search(readings[0]):
        readings += [_REPEATED.sub(r"\1", readings[0]), _REPEATED.sub(r"\1\1", readings[0])]
    return [reading for reading in dict.fromkeys(readings) if reading != caption]


def starred_words(caption: str) -> list[re.Pattern[str]]:
    """Return a pattern for each word with asterisks in place of letters, such as "f**k".

    >>> bool(starred_words("what the f**k")[0].fullmatch("fork")), starred_words("5* hotel")
    (True, [])
    """
    words = islice(_STARRED.findall(caption.casefold()), 8)
    return [re.compile(word.replace("*", "[a-z]")) for word in words if len(word) >= 4]


def _plain_letters(text: str) -> str:
    if text.isascii():
        return text
    text = _MIXED.sub(_without_lookalikes, unicodedata.normalize("NFKC", text))
    if not any("\u00c0" <= char <= "\u1eff" for char in text):
        return text
    parted = unicodedata.normalize("NFD", text)
    return "".join(char for char in parted if unicodedata.category(char) != "Mn")


def _without_lookalikes(found: re.Match[str]) -> str:
    word = found[0]
    latin = sum(char < "\u0250" for char in word)
    return word.translate(_LOOKALIKES) if 0 < latin < len(word) else word


def _without_leet(found: re.Match[str]) -> str:
    word = found[0]
    num_signs = len(_LEET_SIGN.findall(word))
    # Of letters there must be more than signs: "1080p", "4x4" and "$300" are no words.
    return word.translate(_LEET) if 0 < num_signs < len(word) - num_signs else word
