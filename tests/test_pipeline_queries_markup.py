"""Wikitext to the text that a reader sees."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.queries
from pipeline.queries.markup import plain_text, without_fenced

MEDIA = frozenset({"file", "image", "category", "файл"})
MODULES = sorted(path.stem for path in Path(pipeline.queries.__file__).parent.glob("[a-z]*.py"))

SHOWN = [
    ("'''Anarchism''' is ''a'' thing", "Anarchism is a thing"),
    ("a [[dog]], [[cat|kitten]]s, [[:Category:Fish]]", "a dog, kittens, Category:Fish"),
    ("[[File:a.jpg|thumb|left|''A'' [[dog]] [sic] and {{n|[[cat]]}}]]after", "after"),
    ("[[Image:a.png]][[Category:Dogs| ]][[Файл:б.jpg|в]]x", "x"),
    ("[[de:Hund]][[zh-min-nan:狗]][[DC: Comics]]", "DC: Comics"),
    ("a{{cite|title={x}|{{y}}}}b", "ab"),
    ("a{{{1|b}}}c", "ac"),
    (
        "before\n{| class=wikitable\n! h\n|-\n| {{x\n|}} || [[y]]\n{|\n| inner\n|}\n|}\nafter",
        "before\n\nafter",
    ),
    ("a<ref name=x>b [[c]]</ref><ref name=x />d<references/>", "a d"),
    ("<!-- a {{b -->c<!-- never ended", "c"),
    ("<math>x^2</math><gallery>\nFile:a.jpg|b\n</gallery>c<source lang=c>int x;</source>", "  c "),
    ("H<sub>2</sub>O<br/>is<br>wet", "H2O\nis\nwet"),
    ("see [http://a.example/x the site] at https://b.example/?q=1 or [//c.example]", "see the site at  or "),
    ("a &amp; b&nbsp;c &lt;ref&gt; __NOTOC__", "a & b\xa0c <ref> "),
    ("<nowiki>{{not [[a]] template}}</nowiki> b", "  not   a   template   b"),
    ("a }} b |} c ]] d", "a }} b |} c ]] d"),
    ("never {{closed [[but {{whole}} links]]", "never {{closed but  links"),
]


@pytest.mark.parametrize(("wikitext", "text"), SHOWN)
def test_marks_are_left_out_and_what_is_read_stays(wikitext: str, text: str) -> None:
    assert plain_text(wikitext, MEDIA) == text


FENCES = st.lists(st.sampled_from(["{{", "}}", "\n{|", "\n|}", "a", " "]), max_size=24).map("".join)


def slowly_without_fenced(text: str) -> str:
    """Cut the innermost template until none is left: right where no table is about."""
    while (end := text.find("}}")) >= 0:
        start = text.rfind("{{", 0, end)
        if start < 0:
            return text[: end + 2] + slowly_without_fenced(text[end + 2 :])
        text = text[:start] + text[end + 2 :]
    return text


@given(FENCES.filter(lambda text: "|" not in text))
def test_templates_are_cut_as_the_slow_way_cuts_them(text: str) -> None:
    assert without_fenced(text) == slowly_without_fenced(text)


@given(FENCES)
def test_what_is_cut_out_was_fenced_and_cutting_again_changes_nothing(text: str) -> None:
    once = without_fenced(text)
    assert sum(map(len, once.split())) <= len(text)
    assert "{{" not in text or "}}" not in text or once.count("{{") <= text.count("{{")
    assert once == text or any(fence in text for fence in ("}}", "|}"))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(import_module(f"pipeline.queries.{name}")).failed == 0
