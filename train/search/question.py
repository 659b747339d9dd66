"""What is searched for: words, a picture, both, without other words; and the one vector that says so."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from train.search.model import embed_dim_of
from train.search.parts import Floats
from train.search.safe_pictures import for_model
from train.trained import TrainedModel
from train.transforms import evaluation_pixels

MAX_WORDS = 1_000  # characters: a model reads the first 77 tokens at most
MINUS = 2.0  # measured: docs/DECISIONS.md
EMPTY = "nothing is asked for: give words, a picture, or both"


@dataclass(frozen=True, kw_only=True)
class Question:
    """Words or a picture or both, and what is not wanted."""

    words: str = ""
    minus: str = ""
    picture: bytes | None = None  # JPEG, PNG, WebP or GIF
    like: Floats | None = None  # the features (embed_dim,) of an indexed picture, as another picture
    picture_weight: float = 0.5  # of words and picture: 0 is the words alone, 1 the picture alone

    def __post_init__(self) -> None:
        if not 0 <= self.picture_weight <= 1:
            raise ValueError(f"picture weight is {self.picture_weight}. Next: a number from 0 to 1")
        for text in (self.words, self.minus):
            if len(text) > MAX_WORDS:
                raise ValueError(f"{len(text):,} characters are asked for. Next: at most {MAX_WORDS:,}")
        if not self.words.strip() and self.picture is None and self.like is None:
            raise ValueError(EMPTY)


def vector_of(question: Question, trained: TrainedModel, sample: Floats) -> Floats:
    """Return what is searched for, (embed_dim,) of unit length.

    Words and picture are added by weight, each divided by how far it spreads the cosines of a sample of the
    indexed pictures (N, embed_dim): pictures are some three times as far from each other as words from them,
    and would decide alone. Of unwanted words `m` that part is taken away, twice, that what is
    wanted, `q`, does not have: `q - 2 (m - (m . q) q)`. All of `m` would also hold what every text has in
    common, and `q - m` leave the half of the space in which texts lie. Raises BadPictureError for a picture
    that cannot be read.
    """
    wanted = np.zeros(embed_dim_of(trained), np.float32)
    both = (_of_picture(question, trained), question.like)
    pictures = [features for features in both if features is not None]
    has_words = bool(question.words.strip())
    weight = question.picture_weight if has_words and pictures else float(bool(pictures))
    if has_words:
        wanted += (1 - weight) * _by_spread(_of_words(question.words, trained), sample)
    for features in pictures:
        wanted += weight / len(pictures) * _by_spread(features, sample)
    wanted = _unit(wanted)
    if question.minus.strip():
        unwanted = _of_words(question.minus, trained)
        wanted = _unit(wanted - MINUS * (unwanted - (unwanted @ wanted) * wanted))
    return wanted


def _by_spread(features: Floats, sample: Floats) -> Floats:
    # Of a few pictures there is no spread to speak of.
    spread = float((sample @ features).std()) if len(sample) > 1 else 1.0
    return features / max(spread, 1e-3)


def _of_words(words: str, trained: TrainedModel) -> Floats:
    # Arguments of a command line may be any bytes.
    features: Floats = trained.text_features([words.encode("utf-8", "replace").decode()]).numpy()[0]
    return features


def _of_picture(question: Question, trained: TrainedModel) -> Floats | None:
    if question.picture is None:
        return None
    pixels = evaluation_pixels(for_model(question.picture), trained.image_side_px)
    features: Floats = trained.image_features([pixels]).numpy()[0]
    return features


def _unit(vector: NDArray[Any]) -> Floats:
    # A picture's and its own unwanted words may cancel out; then nothing is nearer than anything else.
    return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)
