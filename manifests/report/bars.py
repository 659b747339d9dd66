"""Bars beside their names and numbers, as HTML lists: they wrap on a phone and read aloud as they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.report.page import number, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One line of a bar list. `href` is an anchor of the page; `whole`, where given, is drawn behind."""

    name: str
    value: float
    shown: str | None = None  # instead of the value as a number
    href: str | None = None
    whole: float | None = None
    note: str = ""  # in small letters below the name


def bars(items: Sequence[Bar], *, longest: float | None = None, kind: str = "") -> str:
    """Return the bars in their order, lengths in proportion to `longest` (the largest value when None)."""
    if not items:
        return ""
    longest = longest or max(max(bar.value, bar.whole or 0) for bar in items) or 1
    return f'<ul class="bars">{"".join(_bar(bar, longest, kind) for bar in items)}</ul>'


def plain(name: str) -> str:
    """Return a stage's or a reason's name as words.

    >>> plain("image_too_small")
    'image too small'
    """
    return name.replace("_", " ")


def _bar(bar: Bar, longest: float, kind: str) -> str:
    name = f'<a href="#{text(bar.href)}">{text(bar.name)}</a>' if bar.href else f"<bdi>{text(bar.name)}</bdi>"
    note = f"<small>{text(bar.note)}</small>" if bar.note else ""
    around = bar.whole if bar.whole is not None else longest
    filled = ""
    if bar.value:
        filled = f'<span class="bar {kind}" style="width:{100 * bar.value / around:.2f}%"></span>'
    if bar.whole is not None:
        filled = f'<span class="of" style="width:{100 * bar.whole / longest:.2f}%">{filled}</span>'
    shown = bar.shown if bar.shown is not None else number(bar.value)
    return (
        f'<li><span class="name">{name}{note}</span><span class="track" aria-hidden="true">{filled}</span>'
        f'<span class="count">{text(shown)}</span></li>'
    )
