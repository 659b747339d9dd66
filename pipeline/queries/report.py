"""The page about a query list: what each origin gave, and the terms at the edges of its thresholds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from manifests.report.bars import Bar, bars
from manifests.report.page import Section, cards, facts, folded, number, render_page, share, table, text
from pipeline.queries.choose import Entry, OriginCount
from pipeline.queries.counted import Corpus

NUM_SHOWN = 25
_UNITS = {"word": "seen {} times or more", "bigram": "{} bits or more", "title": "viewed {} times or more"}


def shown_threshold(origin: str, threshold: float | None) -> str:
    """Return a threshold in words.

    >>> shown_threshold("word", 100), shown_threshold("title", None), shown_threshold("synset", None)
    ('seen 100 times or more', 'none is let in', 'all that are not in the list yet')
    """
    if origin == "synset":
        return "all that are not in the list yet"
    return "none is let in" if threshold is None else _UNITS[origin].format(number(threshold))


def list_report(
    entries: Sequence[Entry],
    origins: Sequence[OriginCount],
    corpus: Corpus,
    config: Mapping[str, Any],
    sha256: str,
    notes: Sequence[str],
) -> str:
    """Return the page as one HTML document."""
    summary = facts([("Terms", number(len(entries))), ("SHA-256", sha256)])
    sections = [
        _origins_section(origins, len(entries), notes),
        *(_samples_section(entries, count) for count in origins),
        Section(anchor="corpus", title="What was read", body=_corpus(corpus)),
        Section(
            anchor="config",
            title="Configuration",
            body=folded("Show", f'<pre tabindex="0">{text(json.dumps(config, indent=2))}</pre>'),
        ),
    ]
    return render_page(title="Search terms", summary=summary, sections=sections)


def _origins_section(origins: Sequence[OriginCount], num_entries: int, notes: Sequence[str]) -> Section:
    lines = [
        Bar(
            name=count.origin,
            value=count.num_added,
            shown=f"{number(count.num_added)} ({share(count.num_added, num_entries)})",
        )
        for count in origins
    ]
    rows = [
        (count.origin, shown_threshold(count.origin, count.threshold), count.num_offered, count.num_added)
        for count in origins
    ]
    intro = (
        '<p class="quiet">A term belongs to the first origin that has it: words, bigrams, titles, synsets. '
        "Offered is what reaches the asked threshold; added is what no earlier origin had, as far as the "
        "size has room.</p>"
    )
    said = "".join(f"<p>{text(note)}</p>" for note in notes)
    whole = table(("Origin", "Threshold in force", "Offered", "Added"), rows, caption="What each origin gave")
    return Section(anchor="origins", title="Origins", body=intro + bars(lines) + whole + said)


def _samples_section(entries: Sequence[Entry], count: OriginCount) -> Section:
    """Return the terms of an origin at the top of its figure and at its threshold."""
    own = [entry for entry in entries if entry.origin == count.origin]
    if not own:
        return Section(anchor=count.origin, title="", body="")
    halves = [own] if len(own) <= NUM_SHOWN else [own[:NUM_SHOWN], own[-NUM_SHOWN:]]
    names = ("First", "Last")
    bodies = [
        f'<div class="card">{_terms(half, name)}</div>' for name, half in zip(names, halves, strict=False)
    ]
    return Section(anchor=count.origin, title=f"{count.origin.capitalize()}s", body=cards(bodies, kind="two"))


def _terms(entries: Sequence[Entry], name: str) -> str:
    columns = [column for column in ("count", "pmi", "views") if getattr(entries[0], column) is not None]
    rows = [(entry.text, *(getattr(entry, column) for column in columns)) for entry in entries]
    titles = {"count": "Seen", "pmi": "Bits", "views": "Views"}
    return table(("Term", *(titles[column] for column in columns)), rows, caption=name)


def _corpus(corpus: Corpus) -> str:
    names = {
        "num_articles": "Articles",
        "num_redirects": "Redirects (left out)",
        "num_other_pages": "Pages of other namespaces (left out)",
        "num_words": "Words",
    }
    return facts([(names[name], number(value)) for name, value in asdict(corpus).items()])
