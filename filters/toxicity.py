"""Toxic captions: what a small fastText classifier, trained by `filters.training.toxicity`, says of a text.

The model card is docs/toxicity.md: what it was trained on, under which licences, and where it errs.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fasttext import FastText

from filters.english import letters_of
from filters.reasons import Drop, Reason

_SHIPPED = Path(__file__).parent / "data" / "toxic_en.ftz"
TOXIC, FINE = "__label__toxic", "__label__fine"
# Addresses, names of accounts and forwarding marks of comments say nothing of captions.
_NO_TEXT = re.compile(r"https?://\S+|@\w+|\bRT\b")
_MAX_CHARS = 300


@dataclass(frozen=True, kw_only=True)
class ToxicText:
    """Drops captions that read like insults, hate or pornography, with or without a listed word. English."""

    max_probability: float = 0.1
    """Highest probability of being toxic that is kept; 1 keeps every caption."""
    model_path: str = ""
    """Another fastText model with the labels toxic and fine; empty for filters/data/toxic_en.ftz."""

    def __post_init__(self) -> None:
        """Raise ValueError at a limit that is no probability."""
        if not 0 <= self.max_probability <= 1:
            raise ValueError(f"max_probability {self.max_probability} is no probability: give 0 to 1")

    def measure(self, caption: str) -> float:
        """Return the probability that a caption is toxic, 0..1.

        Raises ValueError where the model is missing.
        """
        return self.measure_all([caption])[0]

    def measure_all(self, captions: list[str]) -> list[float]:
        """Return what `measure` returns for each caption, in less time."""
        predict = _model(self.model_path).f.predict
        answers = (predict(f"{model_line(caption)}\n", 1, 0.0, "strict") for caption in captions)
        return [min(1.0, score) if label == TOXIC else max(0.0, 1 - score) for ((score, label),) in answers]

    def check(self, probability: float) -> Drop | None:
        """Return why a caption of this probability is dropped, or None to keep it."""
        if probability <= self.max_probability:
            return None
        return Drop(Reason.CAPTION_TOXIC, f"toxic with {probability:.2f} > {self.max_probability:g}")


def model_line(text: str) -> str:
    """Return a text as the classifier reads it, in training as later: words in lower case, no signs.

    >>> model_line("RT @someone: Look at THIS, 2 cats! https://example.com")
    'look at this cats'
    """
    if "@" in text or "://" in text or "RT" in text:
        text = _NO_TEXT.sub(" ", text)
    return b" ".join(letters_of(text[:_MAX_CHARS]).split()).decode()


@cache
def _model(model_path: str) -> FastText._FastText:
    path = Path(model_path) if model_path else _SHIPPED
    if not path.is_file():
        raise ValueError(f"no toxicity model at {path}: give model_path, or train one (docs/toxicity.md)")
    # The class, not fasttext.load_model: that prints a warning about itself on every load.
    return FastText._FastText(model_path=str(path))
