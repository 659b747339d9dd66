"""A cloud of search terms: larger with more pairs, marked where the cap was met or not filled."""

import math
from collections.abc import Sequence
from typing import Any

from manifests.report.page import number, text

SMALLEST_REM, LARGEST_REM = 0.85, 2.3
MARKS = {"full": "at the cap", "starved": "starved"}

Row = dict[str, Any]


def cloud(rows: Sequence[Row], column: str, max_pairs: int | None) -> str:
    """Return rows of QUERY_SCHEMA as words in alphabetic order, sizes by the logarithm of a column."""
    if not rows:
        return ""
    counts = [row[column] for row in rows]
    low, high = math.log(min(counts)), math.log(max(counts))
    words = "".join(
        _word(row, (math.log(row[column]) - low) / (high - low) if high > low else 0.5, max_pairs)
        for row in sorted(rows, key=lambda row: (row["text"].casefold(), row["query_id"]))
    )
    return f'<ul class="cloud">{words}</ul>'


def state_of(row: Row, max_pairs: int | None) -> str:
    """Return whether a term is full, starved or neither, the latter also where nothing was capped."""
    if max_pairs is None:
        return ""
    if row["num_kept"] >= max_pairs:
        return "full"
    tried = row["num_tried"]
    return "starved" if tried is not None and tried < row["num_matched"] else ""


def _word(row: Row, size: float, max_pairs: int | None) -> str:
    state = state_of(row, max_pairs)
    says = f"{number(row['num_kept'])} kept of {number(row['num_matched'])} matched"
    mark = f", {MARKS[state]}" if state else ""
    rem = SMALLEST_REM + size * (LARGEST_REM - SMALLEST_REM)
    return (
        f'<li class="{state}" style="font-size:{rem:.2f}rem" title="{says}{mark}">'
        f'<bdi>{text(row["text"])}</bdi><span class="aside">{says}{mark}</span></li>'
    )
