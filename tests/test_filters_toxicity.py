"""The toxicity classifier: its limit, and what it and the word lists find in texts never trained on."""

from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Drop, Reason
from filters.safety import UnsafeWords
from filters.toxicity import ToxicText
from filters.training.toxicity import WEIGHTS, Labelled, read_labelled, train, training_lines

TEXTS = Path("../shared/data/text")
LIMITS = [(0.09, None), (0.1, None), (0.11, Drop(Reason.CAPTION_TOXIC, "toxic with 0.11 > 0.1"))]


@pytest.mark.parametrize(("probability", "drop"), LIMITS)
def test_a_probability_is_judged_at_the_limit(probability: float, drop: Drop | None) -> None:
    assert ToxicText().check(probability) == drop


def test_insults_without_a_listed_word_are_found_and_captions_are_not() -> None:
    assert ToxicText().measure("you are all stupid ugly losers, shut your mouth") > 0.9
    assert ToxicText().measure("A red umbrella on a sandy beach at sunset") < 0.1


HARMLESS = [
    "a gay couple at their wedding",
    "a black cat in Hong Kong",
    "a white horse",
    "chicken breast with rice",
]


@pytest.mark.parametrize("caption", HARMLESS)
def test_words_that_insults_are_made_of_are_harmless_by_themselves(caption: str) -> None:
    assert ToxicText().check(ToxicText().measure(caption)) is None


def test_a_limit_that_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="is no probability: give 0 to 1"):
        ToxicText(max_probability=45)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give model_path, or train one"):
        ToxicText(model_path=str(tmp_path / "none.ftz")).measure("a red umbrella")


@given(st.text(st.characters(exclude_categories=())))
def test_no_caption_raises(caption: str) -> None:
    assert 0 <= ToxicText().measure(caption) <= 1


def test_many_captions_are_measured_as_one_by_one() -> None:
    captions = ["a red umbrella", "", "shut up you idiot", "赤い傘"]
    assert ToxicText().measure_all(captions) == [ToxicText().measure(caption) for caption in captions]


def test_of_texts_never_trained_on_85_percent_toxic_and_at_most_1_percent_ordinary_are_dropped() -> None:
    if not TEXTS.exists():
        pytest.skip(f"{TEXTS} is absent: third-party texts are not part of the project")
    dropped: dict[str, list[bool]] = defaultdict(list)
    words, model = UnsafeWords(), ToxicText()
    for group, text, _ in filter(lambda labelled: labelled.is_held_out, read_labelled(TEXTS)):
        drop = words.check(words.measure(text)) or model.check(model.measure(text))
        dropped[group].append(drop is not None)
    assert set(dropped) == set(WEIGHTS)
    shares = {group: sum(drops) / len(drops) for group, drops in dropped.items()}
    assert max(shares[group] for group in ("alt texts", "textbook captions", "plain sentences")) <= 0.01
    toxic = [
        share for group, share in shares.items() if group.split()[0] in ("toxic", "hateful", "offensive")
    ]
    assert len(toxic) == 3
    assert min(toxic) >= 0.85


def made_up(num: int) -> list[Labelled]:
    fine = [Labelled("alt texts", f"a red umbrella number {n}", is_toxic=False) for n in range(num)]
    return fine + [Labelled("toxic comments", f"you stupid loser {n}", is_toxic=True) for n in range(num)]


def test_what_is_held_out_is_not_in_the_training_lines() -> None:
    texts = made_up(30)
    lines = training_lines(iter(texts))
    assert len(set(lines)) == 2  # digits are no words
    assert sum(text.is_held_out for text in texts) in range(4, 21)
    assert training_lines(text for text in texts if text.is_held_out) == []


@pytest.mark.slow
def test_training_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    lines = training_lines(iter(made_up(300)))
    for name in ("a.ftz", "b.ftz"):
        train(lines, tmp_path / name)
    assert (tmp_path / "a.ftz").read_bytes() == (tmp_path / "b.ftz").read_bytes()
    assert ToxicText(model_path=str(tmp_path / "a.ftz")).measure("you stupid loser") > 0.5
