"""Bars beside their names and numbers, as HTML lists: they wrap on a phone and read aloud as they stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from manifests.report.page import number, share, text
from manifests.schema import StageCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One line of a bar list. `href` is an anchor of the page; `whole`, where given, is drawn behind."""

    name: str
    value: float
    shown: str | None = None  # instead of the value as a number
    href: str | None = None
    whole: float | None = None


def bars(items: Sequence[Bar], *, longest: float | None = None, kind: str = "") -> str:
    """Return the bars in their order, lengths in proportion to `longest` (the largest value when None)."""
    if not items:
        return ""
    longest = longest or max(max(bar.value, bar.whole or 0) for bar in items) or 1
    return f'<ul class="bars">{"".join(_bar(bar, longest, kind) for bar in items)}</ul>'


def funnel(stages: Sequence[StageCount]) -> str:
    """Return the stages as a funnel: each as wide as what went in, narrowing to what came out."""
    widest = max((stage.num_in for stage in stages), default=0) or 1
    return f'<ol class="funnel">{"".join(_stage(stage, widest) for stage in stages)}</ol>' if stages else ""


def plain(name: str) -> str:
    """Return a stage's or a reason's name as words.

    >>> plain("image_too_small")
    'image too small'
    """
    return name.replace("_", " ")


def _bar(bar: Bar, longest: float, kind: str) -> str:
    name = f'<a href="#{text(bar.href)}">{text(bar.name)}</a>' if bar.href else f"<bdi>{text(bar.name)}</bdi>"
    around = bar.whole if bar.whole is not None else longest
    filled = ""
    if bar.value:
        filled = f'<span class="bar {kind}" style="width:{100 * bar.value / around:.2f}%"></span>'
    if bar.whole is not None:
        filled = f'<span class="of" style="width:{100 * bar.whole / longest:.2f}%">{filled}</span>'
    shown = bar.shown if bar.shown is not None else number(bar.value)
    return (
        f'<li><span class="name">{name}</span><span class="track" aria-hidden="true">{filled}</span>'
        f'<span class="count">{text(shown)}</span></li>'
    )


def _stage(stage: StageCount, widest: int) -> str:
    wide_in, wide_out = 100 * stage.num_in / widest, 100 * stage.num_out / widest
    left_in, left_out = 50 - wide_in / 2, 50 - wide_out / 2
    outline = f"M{left_in:.3f} 0H{100 - left_in:.3f}L{100 - left_out:.3f} 10H{left_out:.3f}Z"
    shape = (
        f'<rect class="gone" x="{left_in:.3f}" y="0" width="{wide_in:.3f}" height="10"/>'
        f'<path class="kept" d="{outline}"/>'
    )
    num_dropped = stage.num_in - stage.num_out
    reasons = sorted(stage.dropped.items(), key=lambda item: (-item[1], item[0]))[:2]
    why = ", ".join(f"{plain(reason)} {number(count)}" for reason, count in reasons if count)
    lost = (
        f'<span class="lost-text">−{number(num_dropped)} ({share(num_dropped, stage.num_in)})</span>'
        if num_dropped
        else '<span class="quiet">nothing dropped</span>'
    )
    return (
        f'<li><span class="stage">{text(plain(stage.stage))}<small>{text(why)}</small></span>'
        f'<svg viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{shape}</svg>'
        f'<span class="numbers">{number(stage.num_in)} → {number(stage.num_out)}<br>{lost}</span></li>'
    )
