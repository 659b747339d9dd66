"""Personal data in captions: e-mail addresses and telephone numbers."""

import re
from dataclasses import dataclass

from filters.reasons import Drop, Reason

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}(?:@|\s?[\[(]at[\])]\s?)(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24}(?![\w-])",
    re.IGNORECASE,
)
_MANY_DIGITS = re.compile(r"\d(?:\D{0,2}\d){6}")
_TELEPHONES = (
    # +44 20 7946 0958
    re.compile(r"(?<![\w+])\+\d{1,3}+(?:[ .-]?\(?\d{1,5}+\)?){1,6}+(?!\w)"),
    # (555) 123-4567, 555-123-4567, 1-800-555-1234
    re.compile(r"(?<![\w.-])(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}([.-]))\d{3}[ .-]\d{4}(?![\w-])"),
    # call 020 7946 0958
    re.compile(
        r"\b(?:tel(?:ephone)?|phone|call|calling|mobile|cell|whats ?app|fax|contact)\b[^\w+]{0,3}"
        r"(?:number|no|us|me|now|at|on)?[^\w+(]{0,3}(\(?\d(?:[ .()/-]{0,2}\d){6,14})(?!\w)",
        re.IGNORECASE,
    ),
)
_MIN_DIGITS, _MAX_DIGITS = 7, 15  # ITU-T E.164 allows 15


@dataclass(frozen=True, kw_only=True)
class PersonalData:
    """Drops captions that hold an e-mail address or a telephone number, whoever's they are."""

    emails: bool = True
    """Drop captions with e-mail addresses, also written "name (at) example.com"."""
    telephones: bool = True
    """Drop captions with telephone numbers: international, North American, or called a number."""

    def measure(self, caption: str) -> tuple[str, ...]:
        """Return what sorts of personal data a caption holds."""
        held = []
        if ("@" in caption or "(at)" in caption or "[at]" in caption) and _EMAIL.search(caption):
            held.append("an e-mail address")
        if _MANY_DIGITS.search(caption) and any(map(_is_telephone, _numbers(caption))):
            held.append("a telephone number")
        return tuple(held)

    def measure_all(self, captions: list[str]) -> list[tuple[str, ...]]:
        """Return what `measure` returns for each caption."""
        return [self.measure(caption) for caption in captions]

    def check(self, held: tuple[str, ...]) -> Drop | None:
        """Return a Drop that says what sort of data a caption holds and does not repeat it, or None."""
        wanted = {"an e-mail address": self.emails, "a telephone number": self.telephones}
        found = [sort for sort in held if wanted[sort]]
        return Drop(Reason.CAPTION_PERSONAL_DATA, f"holds {' and '.join(found)}") if found else None


def _numbers(caption: str) -> list[str]:
    return [match[0] for pattern in _TELEPHONES for match in pattern.finditer(caption[:2000])]


def _is_telephone(text: str) -> bool:
    return _MIN_DIGITS <= sum(map(str.isdigit, text)) <= _MAX_DIGITS
