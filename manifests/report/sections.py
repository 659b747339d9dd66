"""The sections of a dataset's report that show the manifest and the search terms."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.report.bars import Bar, bars, plain
from manifests.report.cloud import MARKS, cloud, state_of
from manifests.report.galleries import rejections_anchor
from manifests.report.page import Section, cards, facts, folded, number, share, short, table, text
from manifests.report.sampling import Sample
from manifests.report.sankey import sankey
from manifests.report.terms import QueryFigures
from manifests.schema import Manifest, StageCount

Row = dict[str, Any]


def summary(manifest: Manifest, sample: Sample) -> str:
    """Return what stands under the title: when, how many, and the hash by which the dataset can be named."""
    num_bytes = sum(shard.tar.num_bytes for shard in manifest.shards)
    dates = manifest.dates
    fetched = None
    if dates and dates.fetched_from and dates.fetched_to:
        fetched = f"{dates.fetched_from[:10]} to {dates.fetched_to[:10]}"
    named = facts(
        [
            ("Pairs", number(manifest.num_pairs)),
            ("Search terms", number(manifest.num_queries)),
            ("Shards", f"{number(len(manifest.shards))} ({short(num_bytes)}B)"),
            ("Built", manifest.created_at[:16].replace("T", " ") + " UTC"),
            ("Pictures fetched", fetched),
            ("Code", manifest.code_version),
            ("Content hash", manifest.content_hash),
        ]
    )
    basis = f'<p class="basis">{text(sample.basis)} The funnel and the search terms are exact.</p>'
    return named + (basis if sample.basis else "")


def funnel_section(manifest: Manifest) -> Section:
    """Return every stage of the build as a stream that narrows, and its figures."""
    stages = manifest.funnel
    if not stages:
        return Section(anchor="funnel", title="Funnel", body="")
    num_in = stages[0].num_in
    body = (
        f'<p class="lead">{number(manifest.num_pairs)} of {number(num_in)} candidates were kept '
        f"({share(manifest.num_pairs, num_in)}).</p>"
        '<p class="quiet">Widths are to scale: what enters a stage flows on to the next or branches off to '
        "the reason that dropped it, which leads to its samples.</p>"
    )
    return Section(
        anchor="funnel", title="Funnel", body=body + sankey(stages, rejections_anchor) + stage_figures(stages)
    )


def stage_figures(stages: Sequence[StageCount]) -> str:
    """Return the counts of the stages as a table behind a line that opens it."""
    rows = [
        (plain(s.stage), s.num_in, s.num_out, s.num_in - s.num_out, share(s.num_in - s.num_out, s.num_in))
        for s in stages
    ]
    columns = ("stage", "in", "out", "dropped", "share")
    return folded("Figures", table(columns, rows, caption="Records in and out of each stage"))


def reasons_section(manifest: Manifest) -> Section:
    """Return how many records each reason dropped, stage by stage, each stage on its own scale."""
    bodies = []
    for stage in manifest.funnel:
        lines = [
            Bar(
                name=plain(reason),
                value=count,
                shown=f"{number(count)} ({share(count, stage.num_in)})",
                href=rejections_anchor(stage.stage, reason),
            )
            for reason, count in sorted(stage.dropped.items(), key=lambda item: (-item[1], item[0]))
            if count
        ]
        if lines:
            head = f"<h3>{text(plain(stage.stage))}</h3>"
            bodies.append(f'<div class="card">{head}{bars(lines, kind="lost")}</div>')
    intro = (
        '<p class="quiet">Bars compare the reasons of one stage; the share is of what reached it. '
        "A reason leads to its samples.</p>"
    )
    return Section(
        anchor="reasons", title="Reasons", body=intro + cards(bodies, kind="two") if bodies else ""
    )


def queries_section(manifest: Manifest, queries: QueryFigures, max_pairs: int | None) -> Section:
    """Return the search terms as a cloud, those that matched most, are left with nothing, and at the cap."""
    lists = [
        ("Most matched", queries.most_matched),
        ("Lost: matched, none kept", queries.lost),
        ("Saturated: matched more than the cap let in", queries.saturated),
    ]
    bodies = [
        f'<div class="card"><h3>{text(title)}</h3>{_query_bars(rows)}</div>' for title, rows in lists if rows
    ]
    intro = (
        f"<p>Of {number(manifest.num_queries)} search terms, {number(queries.num_unmatched)} occur in no "
        f"caption and {number(queries.num_lost)} occur in captions of which none was kept.</p>"
        f"{_clouds(queries, max_pairs)}"
        '<p class="quiet">Below, the strong part of a bar was kept, the pale part only matched; '
        "kept / matched.</p>"
    )
    return Section(anchor="queries", title="Search terms", body=intro + cards(bodies))


def _clouds(queries: QueryFigures, max_pairs: int | None) -> str:
    """Return the terms that matched most, and where some are full, those that kept most of the others."""
    states = {state_of(row, max_pairs) for row in [*queries.demanded, *queries.below_cap]}
    legend = "".join(
        f'<li class="{state}">{text(words)}</li>' for state, words in MARKS.items() if state in states
    )
    marks = f'<ul class="cloud legend" aria-label="Marks">{legend}</ul>' if legend else ""
    most = f"<h3>Terms in most captions</h3>{cloud(queries.demanded, 'num_matched', max_pairs)}"
    rest = cloud(queries.below_cap, "num_kept", max_pairs)
    return most + (f"<h3>Below the cap, with most pairs kept</h3>{rest}" if rest else "") + marks


def config_section(manifest: Manifest) -> Section:
    """Return the configuration that the dataset was built with."""
    shown = json.dumps(manifest.config, indent=2, ensure_ascii=False)
    body = folded("Show the configuration", f'<pre tabindex="0">{text(shown)}</pre>')
    return Section(anchor="config", title="Build configuration", body=body)


def counts_by_reason(manifest: Manifest) -> Mapping[tuple[str, str], int]:
    """Return how many records each (stage, reason) dropped."""
    return {
        (stage.stage, reason): count for stage in manifest.funnel for reason, count in stage.dropped.items()
    }


def _query_bars(rows: Sequence[Row]) -> str:
    return bars(
        [
            Bar(
                name=row["text"],
                value=row["num_kept"],
                whole=row["num_matched"],
                shown=f"{number(row['num_kept'])} / {number(row['num_matched'])}",
            )
            for row in rows
        ]
    )
