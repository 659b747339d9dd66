"""Unsafe words: what is found, what only looks like it, lists by path."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.reasons import Drop, Reason
from filters.safety import UnsafeWords, masked
from filters.word_lists import Severity

ALT_TEXTS = Path("../shared/data/text/alttext/laion_test_10000.jsonl.gz")
UNSAFE = ["hardcore Porn video", "PORN-STAR", "two bitches", "nude women on a beach", "a fucking umbrella"]
SAFE = [
    "chicken breast with rice",
    "a cock crows at dawn",
    "a blue tit and three great tits on a branch",
    "Essex, Scunthorpe and Penistone",
    "Dick Van Dyke in a bow tie",
    "oilseed rape in flower, a field of rape",
    "pussy willow in a vase",
    "nude high heels",
    "jars of spices on a shelf",
    "E. E. Cummings, poet",
    "white power supply cable",
    "Al Gore speaks",
    "shiitake mushrooms",
    "a cocktail at the assembly of classical musicians",
    "Super Bowl XXX",
    "house cum studio",
]


def found(caption: str, rules: UnsafeWords = UnsafeWords()) -> tuple[str, ...]:  # noqa: B008 - frozen
    return tuple(term.text for term in rules.measure(caption))


@pytest.mark.parametrize("caption", UNSAFE)
def test_an_unsafe_caption_is_found(caption: str) -> None:
    assert found(caption)


@pytest.mark.parametrize("caption", SAFE)
def test_a_harmless_caption_is_kept(caption: str) -> None:
    assert found(caption) == ()


def test_an_exception_excuses_itself_alone() -> None:
    assert found("pussy willow porn") == ("porn",)


def test_the_detail_does_not_repeat_the_words() -> None:
    rules = UnsafeWords()
    drop = rules.check(rules.measure("two bitches, nude women"))
    assert drop == Drop(Reason.CAPTION_UNSAFE, "holds n... w.... (strong) and 1 more")
    assert masked("blue tit") == "b... t.."


SEVERITIES = [("mild", 3), ("strong", 2), ("severe", 1)]


@pytest.mark.parametrize(("least", "num_dropped"), SEVERITIES)
def test_a_term_is_judged_by_its_severity(least: Severity, num_dropped: int) -> None:
    rules = UnsafeWords(min_severity=least)
    drops = [rules.check(rules.measure(text)) for text in ("what bollocks", "holy shit", "free porn")]
    assert [drop is not None for drop in drops] == [False] * (3 - num_dropped) + [True] * num_dropped


FINE_BESIDE = [
    ("Nude woman", False),
    ("Nude woman, oil on canvas", True),
    ("a penis", False),
    ("Anatomy of the penis", True),
    ("severed head", False),
    ("Judith with the severed head of Holofernes", True),
    ("porn museum", False),
]


@pytest.mark.parametrize(("caption", "is_fine"), FINE_BESIDE)
def test_art_and_medicine_excuse_some_words_and_not_others(caption: str, is_fine: bool) -> None:
    assert (found(caption) == ()) == is_fine


PLACES = ["Sambo wrestling championship", "Welcome to Fucking, Austria", "Boats at Dildo, Newfoundland"]


@pytest.mark.parametrize("caption", PLACES)
def test_names_are_no_words_of_the_list(caption: str) -> None:
    assert found(caption) == ()


DISGUISED = ["p0rn", "f u c k", "f.u.c.k", "shiiiit", "sh1t", "f**k", "рorn", "Ｐｏｒｎ", "pörn", "P0RN5TAR"]


@pytest.mark.parametrize("word", DISGUISED)
def test_a_disguised_word_is_found(word: str) -> None:
    assert found(f"a {word} umbrella")


def test_a_section_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("[awful]\numbrella\n")
    with pytest.raises(ValueError, match=r"section '\[awful\]': write \[mild\], \[strong\] or \[severe\]"):
        UnsafeWords(list_paths=(str(path),)).measure("a red umbrella")


def test_nothing_found_keeps_a_caption() -> None:
    assert UnsafeWords().check(()) is None


def test_a_list_by_path_adds_terms_and_exceptions(tmp_path: Path) -> None:
    path = tmp_path / "more.txt"
    path.write_text("# ours\nParaguas Feo  # ugly\numbrella\n! red umbrella\n", encoding="utf-8")
    rules = UnsafeWords(use_shipped_list=False, list_paths=(str(path),))
    assert found("un paraguas feo", rules) == ("paraguas feo",)
    assert found("two umbrellas", rules) == ("umbrella",)
    assert found("red umbrellas", rules) == ()
    assert found("porn", rules) == ()


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read"), ("# none\n", "holds no term")])
def test_a_list_that_cannot_be_used_is_refused(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "more.txt"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=message):
        UnsafeWords(list_paths=(str(path),)).measure("a red umbrella")


@given(st.text(st.characters(exclude_categories=())))
def test_no_caption_raises(caption: str) -> None:
    UnsafeWords().check(UnsafeWords().measure(caption))


def test_few_real_alt_texts_are_dropped() -> None:
    if not ALT_TEXTS.exists():
        pytest.skip(f"{ALT_TEXTS} is absent: third-party texts are not part of the project")
    with gzip.open(ALT_TEXTS, "rt") as lines:
        num_found = sum(bool(found(json.loads(line)["text"])) for line in lines)
    assert num_found == 37  # 24 of them pornography; a change of the list changes this number on purpose
