"""Captions: one clean spelling, and limits on length, letters, file names and boilerplate."""

import html
import re
import unicodedata
from dataclasses import dataclass

from filters.boilerplate import boilerplate_kind, file_name_kind
from filters.reasons import Drop, Reason
from filters.remains import markup_kind, mojibake_kind, repair_encoding
from filters.words import words_of

_TAG = re.compile(r"<!--.*?-->|</?[a-z][^<>]*>", re.IGNORECASE | re.DOTALL)
_NOT_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_MIN_WORDS_TO_REPEAT = 4  # "New York, New York" and "no no no" may
_JOINERS = "\u200c\u200d"  # invisible, but Persian and Hindi spelling and emoji need them


class _CleanCharacters(dict[int, str]):
    """For `str.translate`: white space and controls become a space, invisible and unassigned ones vanish."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        category = unicodedata.category(char)
        if category in ("Cc", "Zs", "Zl", "Zp"):
            self[code] = " "
        else:
            self[code] = "" if category.startswith("C") and char not in _JOINERS else char
        return self[code]


_CLEAN_CHARACTERS = _CleanCharacters()


def normalise_caption(raw: str) -> str:
    r"""Return a caption as text: encoding repaired, entities unescaped, NFC, single spaces, without tags and
    invisible characters.

    >>> normalise_caption("A <b>red</b>&nbsp;umbrella &amp;amp; 2\u200b caf\u0065\u0301s\n")
    'A red umbrella & 2 cafés'
    """
    text = repair_encoding(raw)
    if "&" in text:
        text = html.unescape(html.unescape(text))  # what was escaped twice on its way is common
    if "<" in text:
        text = _TAG.sub(" ", text)
    if not text.isprintable():
        text = text.translate(_CLEAN_CHARACTERS)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    return " ".join(text.split())


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptionMeasure:
    """What the limits on a caption look at."""

    num_words: int
    num_chars: int
    letter_share: float  # letters of all characters that are not spaces, 0..1
    file_name: str | None  # what makes it a file's name
    boilerplate: str | None  # what sort of boilerplate it is
    distinct_share: float  # different words of all words, 0..1
    markup: str | None  # what sort of markup is left in it
    mojibake: str | None  # why its letters are not those that were meant


@dataclass(frozen=True, kw_only=True)
class CaptionRules:
    """Limits on a caption's form.

    Captions of two words stay: "red umbrella" is a good one, and of 10,000 real alt texts the 201 with two
    words read like the rest. Single words go (14 of 10,000): CLIP's authors found them rare in WebImageText
    (CLIP, sec. 3.1.4). Of those 10,000 the rules drop 282: 240 file names, 13 single words, 8 with few
    letters, 7 addresses and 2 that are too long; of the rest 6 have lost characters and 6 repeat their words.
    Web alt text before any selection, as in Common Crawl, has far more.
    """

    min_words: int = 2
    """Words; in Chinese, Japanese and Thai each character counts as one."""
    min_chars: int = 5
    """Characters, spaces included."""
    max_chars: int = 1000
    """CLIP reads about the first 300; what is longer than this is a page, not a caption."""
    min_letter_share: float = 0.5
    """Below it stand part numbers and prices."""
    drop_file_names: bool = True
    """Drop what is named by a camera or a content system: "IMG_2034.JPG", "a-b-c-d"."""
    drop_boilerplate: bool = True
    """Drop dates, addresses, "click to enlarge", "no image available" and their like."""
    min_distinct_share: float = 0.4
    """Different words of all words, in captions of four words and more: "buy buy buy buy" has 0.25."""
    drop_markup: bool = True
    """Drop what still holds tags, attributes, templates or shortcodes: "{{ product.title }}"."""
    drop_mojibake: bool = True
    """Drop captions with characters that were lost or read wrongly and could not be repaired."""

    def __post_init__(self) -> None:
        """Raise ValueError at limits that would keep nothing."""
        if not 0 <= self.min_distinct_share <= 1:
            raise ValueError(f"min_distinct_share {self.min_distinct_share} is no share: give 0 to 1")
        if self.max_chars < max(1, self.min_chars) or not 0 <= self.min_letter_share <= 1:
            raise ValueError(
                f"min_chars {self.min_chars}, max_chars {self.max_chars}, min_letter_share "
                f"{self.min_letter_share} keep no caption: give min <= max and a share of 0 to 1"
            )

    def measure(self, caption: str) -> CaptionMeasure:
        """Return what the limits look at, for a caption that `normalise_caption` has been over."""
        words = words_of(caption).split()
        return CaptionMeasure(
            num_words=len(words),
            num_chars=len(caption),
            letter_share=_num_letters(caption) / max(1, len(caption) - caption.count(" ")),
            file_name=file_name_kind(caption),
            boilerplate=boilerplate_kind(caption),
            distinct_share=len(set(words)) / len(words) if len(words) >= _MIN_WORDS_TO_REPEAT else 1.0,
            markup=markup_kind(caption),
            mojibake=mojibake_kind(caption),
        )

    def measure_all(self, captions: list[str]) -> list[CaptionMeasure]:
        """Return what `measure` returns for each caption."""
        return [self.measure(caption) for caption in captions]

    def check(self, measure: CaptionMeasure) -> Drop | None:
        """Return the first limit that a caption breaks, or None."""
        if self.drop_file_names and measure.file_name:
            return Drop(Reason.CAPTION_FILE_NAME, measure.file_name)
        if self.drop_boilerplate and measure.boilerplate:
            return Drop(Reason.CAPTION_BOILERPLATE, measure.boilerplate)
        if measure.num_words < self.min_words:
            return Drop(Reason.CAPTION_TOO_SHORT, f"words {measure.num_words} < {self.min_words}")
        if measure.num_chars < self.min_chars:
            return Drop(Reason.CAPTION_TOO_SHORT, f"characters {measure.num_chars} < {self.min_chars}")
        if measure.num_chars > self.max_chars:
            return Drop(Reason.CAPTION_TOO_LONG, f"characters {measure.num_chars} > {self.max_chars}")
        if measure.letter_share < self.min_letter_share:
            share = f"letters {measure.letter_share:.0%} < {self.min_letter_share:.0%}"
            return Drop(Reason.CAPTION_FEW_LETTERS, share)
        if self.drop_markup and measure.markup:
            return Drop(Reason.CAPTION_MARKUP, measure.markup)
        if self.drop_mojibake and measure.mojibake:
            return Drop(Reason.CAPTION_MOJIBAKE, measure.mojibake)
        if measure.distinct_share < self.min_distinct_share:
            share = f"different words {measure.distinct_share:.0%} < {self.min_distinct_share:.0%}"
            return Drop(Reason.CAPTION_REPEATED_WORDS, share)
        return None


def _num_letters(caption: str) -> int:
    if caption.isascii():  # which most are; at a tenth of the cost
        return len(caption.encode().translate(None, _NOT_LETTERS))
    return sum(map(_is_letter, caption))


def _is_letter(char: str) -> bool:
    return char.isalpha() or unicodedata.category(char).startswith("M")
