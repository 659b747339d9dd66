"""The section of a dataset's report on where its pairs come from: a map of domains, sources, licences."""

from collections import Counter

from manifests.report.bars import Bar, bars
from manifests.report.data import PairFigures
from manifests.report.page import Section, cards, number, share, table, text
from manifests.report.treemap import treemap
from manifests.schema import Manifest

NUM_BARS = 15


def origins_section(manifest: Manifest, pairs: PairFigures, before: PairFigures | None = None) -> Section:
    """Return the hosts, sources and licences of the kept pairs."""
    old = before or PairFigures(sample=pairs.sample)
    lists = [
        counted("Top domains", pairs.hosts, old.hosts),
        counted("Sources", pairs.sources, old.sources) + counted("Licences", pairs.licences, old.licences),
    ]
    bodies = [f'<div class="card">{body}</div>' for body in lists if body]
    drawn = treemap(pairs.hosts, title="Domains of the pictures")
    chart = f"<h3>Map of domains</h3>{drawn}" if drawn else ""
    note = (
        '<p class="quiet">Areas are shares of the kept pairs; domains of one ending stand together.</p>'
        if drawn
        else ""
    )
    return Section(
        anchor="origins",
        title="Domains, sources, licences",
        body=chart + note + cards(bodies, kind="two") + _sources(manifest) if bodies else "",
    )


def counted(title: str, counts: Counter[str], before: Counter[str] | None = None) -> str:
    """Return the most frequent names as bars; with an earlier dataset's also which share they had in it."""
    lines = [
        Bar(
            name=name,
            value=count,
            shown=f"{number(count)} ({share(count, counts.total())})",
            note=f"was {share(before[name], before.total())}" if before else "",
        )
        for name, count in counts.most_common(NUM_BARS)
    ]
    if not lines:
        return ""
    left = counts.total() - sum(counts[bar.name] for bar in lines)
    rest = (
        f'<p class="quiet">and {number(left)} pairs of {number(len(counts) - len(lines))} more</p>'
        if left
        else ""
    )
    return f"<h3>{text(title)}</h3>{bars(lines)}{rest}"


def _sources(manifest: Manifest) -> str:
    """Return what the manifest says of the sources that were read; nothing of one of an earlier version."""
    rows = [
        (source.name, source.num_candidates, _first(source.read), source.licence)
        for source in manifest.sources
    ]
    columns = ("source", "candidates", "read", "licences")
    return table(columns, rows, caption="What each source gave and where it was read") if rows else ""


def _first(names: tuple[str, ...], num_shown: int = 3) -> str:
    more = f" and {number(len(names) - num_shown)} more" if len(names) > num_shown else ""
    return ", ".join(names[:num_shown]) + more
