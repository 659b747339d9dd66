"""The tables of checks: which ones a caption and a picture must pass, and in what order.

To add one: a file with a frozen dataclass of limits that has `measure` and `check`, a member of `Reason`,
and one field here (of pictures, also a line in `of_headers` or `of_pixels`). Its limits appear on the command
line by themselves.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL.ImageFile import ImageFile

from filters.contrast import Contrast
from filters.images import ImageHeader, ImageRules, header_of, open_picture, read_header, sniff_format
from filters.language import Language, LanguageGuess
from filters.personal import PersonalData
from filters.reasons import Drop, Reason
from filters.safety import UnsafeWords
from filters.text import CaptionRules
from filters.toxicity import ToxicText


class TextCheck(Protocol):
    """A check of captions: what it measures can be looked at before a limit is chosen."""

    def measure(self, caption: str) -> Any:
        """Return the measurement of a normalised caption."""

    def measure_all(self, captions: list[str]) -> Sequence[Any]:
        """Return what `measure` returns for each of many captions."""

    def check(self, measurement: Any, /) -> Drop | None:
        """Return why a caption of this measurement is dropped, or None to keep it."""


class HeaderCheck(Protocol):
    """A check of a picture's header."""

    def check_header(self, header: ImageHeader) -> Drop | None:
        """Return why a picture of this header is dropped, or None to keep it."""


class PixelCheck(Protocol):
    """A check of a decoded picture, as small as its hash is made of."""

    def measure(self, grey: NDArray[np.uint8]) -> Any:
        """Return the measurement of a picture's greys (32, 32)."""

    def check(self, measurement: Any, /) -> Drop | None:
        """Return why a picture of this measurement is dropped, or None to keep it."""


@dataclass(frozen=True, kw_only=True)
class TextChecks:
    """The checks of a caption, in the order in which they run: the cheap ones first, the models last."""

    caption: CaptionRules = CaptionRules()
    personal: PersonalData = PersonalData()
    safety: UnsafeWords = UnsafeWords()
    language: Language = Language()
    toxicity: ToxicText = ToxicText()

    def __iter__(self) -> Iterator[tuple[str, TextCheck]]:
        """Yield each check with its name."""
        return ((field.name, getattr(self, field.name)) for field in fields(self))


@dataclass(frozen=True, kw_only=True)
class ImageChecks:
    """The checks of a picture, in the order in which they run: of its header, then of its pixels."""

    header: ImageRules = ImageRules()
    contrast: Contrast = Contrast()

    def of_headers(self) -> Iterator[tuple[str, HeaderCheck]]:
        """Yield each check of headers with its name."""
        yield "header", self.header

    def of_pixels(self) -> Iterator[tuple[str, PixelCheck]]:
        """Yield each check of pixels with its name."""
        yield "contrast", self.contrast


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedCaption:
    """The verdict on a caption, and what was learned of it on the way."""

    drop: Drop | None  # the first reason found; None keeps the caption
    guess: LanguageGuess | None  # None where an earlier check dropped the caption


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenedImage:
    """The verdict on a picture's header."""

    drop: Drop | None
    header: ImageHeader | None  # None where the bytes are no picture
    opened: ImageFile | None = None  # what the header was read from, if that can be decoded further


def screen_caption(caption: str, checks: TextChecks) -> ScreenedCaption:
    """Return the first reason to drop a caption that `normalise_caption` has been over, and its language."""
    return screen_captions([caption], checks)[0]


def screen_captions(captions: list[str], checks: TextChecks) -> list[ScreenedCaption]:
    """Return what `screen_caption` returns for each caption, in two thirds of the time.

    Each check sees the captions that those before it have kept.
    """
    drops: dict[int, Drop] = {}
    guesses: dict[int, LanguageGuess] = {}
    kept = list(range(len(captions)))
    for name, check in checks:
        measured = zip(kept, check.measure_all([captions[number] for number in kept]), strict=True)
        if name == "language":
            guesses = dict(measured)
            measured = zip(guesses, guesses.values(), strict=True)
        drops |= {number: drop for number, measure in measured if (drop := check.check(measure))}
        kept = [number for number in kept if number not in drops]
    return [
        ScreenedCaption(drop=drops.get(number), guess=guesses.get(number)) for number in range(len(captions))
    ]


def screen_image(data: bytes, checks: ImageChecks) -> ScreenedImage:
    """Return the first reason to drop an encoded picture by its header alone, and the header."""
    opened = open_picture(data)
    header = header_of(opened) if opened else read_header(data)
    if header is None:
        return ScreenedImage(drop=without_header(data), header=None)
    drops = (check.check_header(header) for _, check in checks.of_headers())
    return ScreenedImage(drop=next(filter(None, drops), None), header=header, opened=opened)


def screen_pixels(grey: NDArray[np.uint8], checks: ImageChecks) -> Drop | None:
    """Return the first reason to drop a picture by its greys (32, 32), None to keep it."""
    drops = (check.check(check.measure(grey)) for _, check in checks.of_pixels())
    return next(filter(None, drops), None)


def without_header(data: bytes) -> Drop:
    """Return why bytes whose header cannot be read are dropped."""
    name = sniff_format(data)
    if name is None:
        return Drop(Reason.NOT_AN_IMAGE, "no header of a jpeg, png, webp, gif, bmp or tiff")
    return Drop(Reason.IMAGE_CORRUPT, f"begins as {name}, but its header is damaged")
