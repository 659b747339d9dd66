"""The shell of a report: one HTML file that asks nothing of the network and runs no script."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files

# No script may run and nothing may be fetched: a caption is a stranger's text, and escaping is the first
# wall, this is the second. Charts are SVG and HTML, so that nothing here needs a script.
CONTENT_SECURITY_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

ILLEGAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page: `anchor` is its id, `title` plain text, `body` HTML that is already escaped."""

    anchor: str
    title: str
    body: str


def text(value: object) -> str:
    """Return any value as HTML text, safe also inside a quoted attribute.

    Control characters and lone surrogates, which HTML cannot hold, become U+FFFD.

    >>> text('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return escape(ILLEGAL.sub("\ufffd", str(value)))


def render_page(*, title: str, summary: str, sections: Sequence[Section]) -> str:
    """Return the whole HTML document; sections with an empty body are left out."""
    shown = [section for section in sections if section.body]
    links = "".join(f'<li><a href="#{part.anchor}">{text(part.title)}</a></li>' for part in shown)
    bodies = "".join(
        f'<section id="{part.anchor}" aria-labelledby="{part.anchor}-title">'
        f'<h2 id="{part.anchor}-title">{text(part.title)}</h2>{part.body}</section>\n'
        for part in shown
    )
    style = (files(__package__) / "page.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{CONTENT_SECURITY_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{text(title)}</title>\n<style>\n{style}</style>\n</head>\n'
        '<body>\n<a class="skip" href="#content">Skip to the content</a>\n'
        f"<header><h1>{text(title)}</h1>{summary}</header>\n"
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n'
        f'<main id="content" tabindex="-1">\n{bodies}</main>\n</body>\n</html>\n'
    )


def facts(pairs: Sequence[tuple[str, object]]) -> str:
    """Return names and values as a description list; a value of None is left out."""
    items = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>"
        for name, value in pairs
        if value is not None
    )
    return f'<dl class="facts">{items}</dl>'


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, caption: str) -> str:
    """Return a table of plain values; numbers and shares are set right, with thousands apart."""
    head = "".join(
        f'<th scope="col"{_right(value)}>{text(column)}</th>'
        for column, value in zip(columns, rows[0] if rows else columns, strict=True)
    )
    body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}"><table>'
        f"<caption>{text(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, body: str) -> str:
    """Return `body` (HTML) behind a summary line that opens it."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>"


def cards(bodies: Sequence[str], *, kind: str = "charts") -> str:
    """Return pieces of HTML side by side, as many in a row as the window holds; none where there are none."""
    return f'<div class="{kind}">{"".join(bodies)}</div>' if any(bodies) else ""


def number(value: float) -> str:
    """Return a count or a measure as people write it: 12,345 or 0.123.

    >>> number(12345), number(0.12345), number(1e-06)
    ('12,345', '0.1235', '1e-06')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def short(value: int) -> str:
    """Return a count in at most seven letters, for where there is little room.

    >>> short(999_999), short(12_345_678), short(1_623_700_000)
    ('999,999', '12.3 M', '1.62 G')
    """
    for unit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M")):
        if value >= unit:
            return f"{value / unit:.3g} {letter}"
    return number(value)


def share(part: float, whole: float) -> str:
    """Return a part of a whole in per cent; a part that is not nothing never reads as 0 %.

    >>> share(1, 3), share(1, 100_000), share(0, 0)
    ('33.3 %', '< 0.1 %', '0 %')
    """
    if not part:
        return "0 %"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent >= 0.1 else "< 0.1 %"


def _cell(value: object) -> str:
    shown = number(value) if isinstance(value, int | float) else value
    return f"<td{_right(value)}>{text(shown)}</td>"


def _right(value: object) -> str:
    is_share = isinstance(value, str) and value.endswith(" %")
    return ' class="number"' if is_share or isinstance(value, int | float) else ""
