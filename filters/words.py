"""Words: the one way in which captions, search terms and word lists are cut and compared."""

import re
import unicodedata
from typing import Literal

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


def _ascii_table(mode: Mode) -> bytes:
    """For `bytes.translate`: the same for ASCII, which most captions are, at half the cost of a text."""
    chars = (chr(code) if code < 128 else " " for code in range(256))
    kept = (char if char.isalnum() or char == "'" else " " for char in chars)
    return "".join(char.lower() if mode == "casefold" else char for char in kept).encode()


_ASCII_TABLES: dict[Mode, bytes] = {"casefold": _ascii_table("casefold"), "exact": _ascii_table("exact")}


def words_of(text: str, mode: Mode = "casefold") -> str:
    """Return the words of a text with one space between: what queries and captions are compared by.

    Words are runs of letters, digits and marks, with apostrophes inside; a possessive "'s" is a word of its
    own, so that "queen" is found in "the queen's guard". Hyphens and all other signs part words.

    >>> words_of("The Queen’s T-shirt: don't_wash!")
    "the queen 's t shirt don't wash"
    """
    if text.isascii():
        if "'" in text:
            text = _POSSESSIVE.sub(" '", _OUTER_APOSTROPHE.sub(" ", text))
        return b" ".join(text.encode().translate(_ASCII_TABLES[mode]).split()).decode()
    text = unicodedata.normalize("NFC", text)
    if mode == "casefold":
        text = text.casefold()
    if any(apostrophe in text for apostrophe in _APOSTROPHES):
        text = _POSSESSIVE.sub(" '", _OUTER_APOSTROPHE.sub(" ", text))
    return " ".join(text.translate(_WORD_CHARACTERS).split())
