"""The funnel as a Sankey picture: a stream from the top down, from which the reasons branch off.

Every width is to one scale, so that what goes in can be seen to be what comes out and what is dropped. It is
drawn twice, for a wide and for a narrow window, since letters in a drawing shrink with it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from manifests.report.bars import plain
from manifests.report.page import number, share, short, text
from manifests.report.svg import label_at
from manifests.schema import StageCount

NODE, BEND, REST = (
    8,
    10,
    30,
)  # height of a stage's bar, radius of a bend, height of a stage that drops nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Places in a drawing `width` units wide: names, the stream of at most `widest`, then the reasons."""

    kind: str
    width: int
    stream: int  # where the stream begins; names end before it
    widest: int
    reasons: int  # where the reasons' names begin
    line: int  # height of a line of text
    lines: int  # of a reason's label

    @property
    def row(self) -> int:
        """Return the least height of a reason."""
        return self.lines * self.line + 4


WIDE = Layout(kind="on-wide", width=900, stream=150, widest=380, reasons=590, line=17, lines=1)
NARROW = Layout(kind="on-narrow", width=330, stream=84, widest=90, reasons=196, line=13, lines=2)

Href = Callable[[str, str], str]


def sankey(stages: Sequence[StageCount], href: Href) -> str:
    """Return the funnel for both widths; `href` gives the anchor of the samples of a stage's reason."""
    if not stages or not stages[0].num_in:
        return ""
    return "".join(_drawing(stages, href, layout) for layout in (WIDE, NARROW))


def _drawing(stages: Sequence[StageCount], href: Href, layout: Layout) -> str:
    scale = layout.widest / max(stage.num_in for stage in stages)
    parts: list[str] = []
    down = 4.0
    for stage in stages:
        lines, below = _stage(stage, href, layout, scale, down)
        parts.extend(lines)
        down = below
    last = stages[-1]
    parts.append(_node(layout, last.num_out * scale, down, "end"))
    parts.extend(_name(layout, "kept", last.num_out, down))
    says = (
        f"Funnel: of {number(stages[0].num_in)} candidates {number(last.num_out)} were kept. "
        "The figures stand in the table below."
    )
    height = round(down + NODE + 2 * layout.line)
    return (
        f'<svg class="sankey {layout.kind}" viewBox="0 0 {layout.width} {height}" role="group" '
        f'aria-label="{text(says)}">{"".join(parts)}</svg>'
    )


def _stage(
    stage: StageCount, href: Href, layout: Layout, scale: float, top: float
) -> tuple[list[str], float]:
    """Return a stage's bar, its stream and its reasons, and where the next stage begins."""
    foot = top + NODE
    dropped = sorted(((n, c) for n, c in stage.dropped.items() if c), key=lambda item: (-item[1], item[0]))
    parts = [_node(layout, stage.num_in * scale, top, "start")]
    parts.extend(_name(layout, plain(stage.stage), stage.num_in, top))
    right, down = layout.stream + stage.num_in * scale, foot + BEND
    for reason, count in dropped:
        thick = count * scale
        height = max(layout.row, thick + 3)
        middle = down + height / 2
        ribbon = _ribbon(right - thick, right, foot, middle, layout.reasons - 6)
        label = f"{plain(reason)}: {number(count)} ({share(count, stage.num_in)})"
        lines = "".join(_label(layout, plain(reason), count, stage.num_in, middle))
        parts.append(
            f'<a href="#{text(href(stage.stage, reason))}" aria-label="{text(label)}">'
            f'<path class="gone" d="{ribbon}"><title>{text(label)}</title></path>{lines}</a>'
        )
        right -= thick
        down += height
    below = max(down + 4 if dropped else 0, foot + REST)
    kept = max(stage.num_out * scale, 0.75 if stage.num_out else 0)
    parts.insert(
        1,
        f'<rect class="stream" x="{layout.stream}" y="{foot:.1f}" width="{kept:.2f}" '
        f'height="{below - foot:.1f}"/>',
    )
    return parts, below


def _ribbon(left: float, right: float, top: float, middle: float, end: float) -> str:
    """Return the outline of a branch: down from the stage's bar, round the bend, to the right as thick."""
    thick = max(right - left, 0.75)
    upper, lower = middle - thick / 2, middle + thick / 2
    near = min(BEND, upper - top)
    far = near + thick
    return (
        f"M{left:.2f} {top:.1f}V{lower - far:.2f}A{far:.2f} {far:.2f} 0 0 0 {left + far:.2f} {lower:.2f}"
        f"H{end}V{upper:.2f}H{left + thick + near:.2f}"
        f"A{near:.2f} {near:.2f} 0 0 1 {left + thick:.2f} {upper - near:.2f}V{top:.1f}Z"
    )


def _label(layout: Layout, reason: str, count: int, whole: int, middle: float) -> Iterator[str]:
    figures = f"{number(count)} ({share(count, whole)})"
    if layout.lines == 1:
        yield label_at(layout.reasons, middle + 5, f"{reason}  {figures}", "start")
    else:
        yield label_at(layout.reasons, middle - 2, reason, "start")
        yield label_at(layout.reasons, middle + layout.line - 3, figures, "start")


def _name(layout: Layout, name: str, count: int, top: float) -> Iterator[str]:
    shown = number(count) if layout.lines == 1 else short(count)
    yield f'<g class="stage">{label_at(layout.stream - 8, top + 10, name, "end")}</g>'
    yield label_at(layout.stream - 8, top + 10 + layout.line, shown, "end")


def _node(layout: Layout, wide: float, top: float, kind: str) -> str:
    return (
        f'<rect class="node {kind}" x="{layout.stream}" y="{top:.1f}" width="{max(wide, 1.5):.2f}" '
        f'height="{NODE}"/>'
    )
