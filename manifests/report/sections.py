"""The sections of a dataset's report that show figures. Pictures: see `galleries`; counting: see `data`."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from manifests.report.bars import Bar, bars, funnel, plain
from manifests.report.charts import histogram
from manifests.report.data import MAX_WORDS, PairFigures, QueryFigures
from manifests.report.galleries import rejections_anchor
from manifests.report.heat import heat_map
from manifests.report.page import Section, cards, facts, folded, number, share, text
from manifests.schema import Manifest

NUM_BARS = 15

Row = dict[str, Any]


def summary(manifest: Manifest) -> str:
    """Return what stands under the title: when, how many, and the hash by which the dataset can be named."""
    num_bytes = sum(shard.tar.num_bytes for shard in manifest.shards)
    return facts(
        [
            ("Pairs", number(manifest.num_pairs)),
            ("Search terms", number(manifest.num_queries)),
            ("Shards", f"{number(len(manifest.shards))} ({number(num_bytes / 1e6)} MB)"),
            ("Built", manifest.created_at[:16].replace("T", " ") + " UTC"),
            ("Code", manifest.code_version),
            ("Content hash", manifest.content_hash),
        ]
    )


def funnel_section(manifest: Manifest) -> Section:
    """Return every stage of the build, as wide as the records that reached it."""
    stages = manifest.funnel
    body = ""
    if stages:
        num_in = stages[0].num_in
        body = (
            f'<p class="lead">{number(manifest.num_pairs)} of {number(num_in)} candidates were kept '
            f"({share(manifest.num_pairs, num_in)}).</p>"
            '<p class="quiet">Widths are to scale. Each stage is as wide at its top as what went in and '
            "at its foot as what came out; below its name stand the reasons that dropped most.</p>"
        )
    return Section(anchor="funnel", title="Funnel", body=body + funnel(stages))


def reasons_section(manifest: Manifest, samples: Mapping[tuple[str, str], Sequence[Row]]) -> Section:
    """Return how many records each reason dropped, stage by stage, each stage on its own scale."""
    bodies = []
    for stage in manifest.funnel:
        lines = [
            Bar(
                name=plain(reason),
                value=count,
                shown=f"{number(count)} ({share(count, stage.num_in)})",
                href=rejections_anchor(stage.stage, reason) if (stage.stage, reason) in samples else None,
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


def origins_section(pairs: PairFigures) -> Section:
    """Return the hosts, sources and licences of the kept pairs."""
    lists = [
        _counted("Top domains", pairs.hosts),
        _counted("Sources", pairs.sources) + _counted("Licences", pairs.licences),
    ]
    bodies = [f'<div class="card">{body}</div>' for body in lists if body]
    return Section(anchor="origins", title="Domains, sources, licences", body=cards(bodies, kind="two"))


def queries_section(manifest: Manifest, queries: QueryFigures) -> Section:
    """Return the search terms that matched most, those left with nothing and those at the cap."""
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
        '<p class="quiet">The strong part of a bar was kept, the pale part only matched; kept / matched.</p>'
    )
    return Section(anchor="queries", title="Search terms", body=intro + cards(bodies))


def captions_section(pairs: PairFigures) -> Section:
    """Return the lengths and languages of the kept captions."""
    words = [
        (
            f"{low}" if low < MAX_WORDS else f"{MAX_WORDS}+",
            pairs.caption_words[low] + pairs.caption_words[low + 1],
        )
        for low in range(0, MAX_WORDS + 1, 2)
    ]
    scores = [(f"{step / 20:.2f}", pairs.score_twentieths[step]) for step in range(20)]
    bodies = [
        histogram(title="Length", bins=words, x_label="words in the caption, two to a bin"),
        f'<div class="card">{_counted("Languages", pairs.languages)}</div>',
        histogram(title="Language score", bins=scores, x_label="score from, 0.05 to a bin"),
    ]
    return Section(anchor="captions", title="Captions", body=cards(bodies))


def sizes_section(pairs: PairFigures) -> Section:
    """Return the sizes and shapes of the pictures as they were fetched."""
    if not pairs.sizes:
        return Section(anchor="sizes", title="Picture sizes", body="")
    sides = [side for size in pairs.sizes for side in size]
    steps = range(min(sides), max(sides) + 1)
    names = [f"{2 ** (step / 2):.0f}" for step in steps]
    short_sides = Counter[int]()
    for size, count in pairs.sizes.items():
        short_sides[min(size)] += count
    shorter = [(name, short_sides[step]) for name, step in zip(names, steps, strict=True)]
    aspects = [
        (f"{2 ** (step / 2):.2g}", pairs.aspects[step])
        for step in range(min(pairs.aspects), max(pairs.aspects) + 1)
    ]
    bodies = [
        heat_map(
            title="Width and height",
            counts=[[pairs.sizes[wide, high] for wide in steps] for high in reversed(steps)],
            x_names=names,
            y_names=names[::-1],
            x_label="width from, px",
            y_label="height from, px",
        ),
        histogram(title="Shorter side", bins=shorter, x_label="px, half octaves"),
        histogram(title="Aspect", bins=aspects, x_label="width / height, half octaves"),
    ]
    return Section(anchor="sizes", title="Picture sizes", body=cards(bodies))


def config_section(manifest: Manifest) -> Section:
    """Return the configuration that the dataset was built with."""
    shown = json.dumps(manifest.config, indent=2, ensure_ascii=False)
    body = folded("Show the configuration", f'<pre tabindex="0">{text(shown)}</pre>')
    return Section(anchor="config", title="Build configuration", body=body)


def _counted(title: str, counts: Counter[str]) -> str:
    lines = [Bar(name=name, value=count) for name, count in counts.most_common(NUM_BARS)]
    if not lines:
        return ""
    left = counts.total() - sum(counts[bar.name] for bar in lines)
    rest = (
        f'<p class="quiet">and {number(left)} pairs of {number(len(counts) - len(lines))} more</p>'
        if left
        else ""
    )
    return f"<h3>{text(title)}</h3>{bars(lines)}{rest}"


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
