"""What all charts are drawn with: their size, labels and the figure around them."""

from collections.abc import Sequence

from manifests.report.page import text

WIDTH, HEIGHT = 340, 220  # of the drawing, in SVG units; the page scales it to the column
LEFT, RIGHT, TOP, BOTTOM = 50, 8, 26, 44  # margins that hold the labels


def label_at(x: float, y: float, words: str, anchor: str, turn: str = "") -> str:
    """Return words at a place, `anchor` being start, middle or end; `turn` is an SVG transform."""
    turned = f' transform="{turn}"' if turn else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turned}>{text(words)}</text>'


def figure(
    title: str, parts: Sequence[str], says: str, below: str, width: int = WIDTH, height: int = HEIGHT
) -> str:
    """Return the drawing with its heading, what it `says` to those who cannot see it, and HTML below it."""
    span = ' class="wide"' if width > WIDTH else ""
    return (
        f'<figure{span}><h3>{text(title)}</h3><svg viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{text(says)}">{"".join(parts)}</svg>{below}</figure>'
    )
