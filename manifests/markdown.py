"""Tables and cells of Markdown, in which nothing that a page said can do more than be read."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\`*\[\]<>|~$])")


def text(value: object) -> str:
    """Return a value as plain text: no markup, no line breaks.

    >>> text("a|b <i>\\nc")
    'a\\\\|b \\\\<i\\\\> c'
    """
    return SPECIAL.sub(r"\\\1", " ".join(str(value).split()))


def number(count: int) -> str:
    """Return a count with its thousands apart.

    >>> number(4145)
    '4,145'
    """
    return f"{count:,}"


def share(part: int, whole: int) -> str:
    """Return a share in per cent; a dash of nothing.

    >>> share(1, 3), share(0, 0)
    ('33.3 %', '-')
    """
    return f"{100 * part / whole:.1f} %" if whole else "-"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells that begin with a digit or a dash stand on the right. Empty without rows."""
    rows = list(rows)
    if not rows:
        return ""
    right = [
        all(row[place][:1].isdigit() or row[place] == "-" for row in rows) for place in range(len(heads))
    ]
    lines = [heads, ["---:" if each else "---" for each in right], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
