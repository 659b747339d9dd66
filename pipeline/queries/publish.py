"""The finished list on disk: queries.parquet, its text view, what each origin gave, and a page to look at."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from filters.queries import queries_sha256
from manifests.store import write_bytes, write_table
from pipeline.queries.bigrams import highest_pmi
from pipeline.queries.choose import Entry, OriginCount, list_table
from pipeline.queries.config import QueryListConfig
from pipeline.queries.counted import Corpus
from pipeline.queries.report import list_report, shown_threshold


@dataclass(frozen=True, kw_only=True)
class QueryList:
    """A finished list: how many terms, the hash that manifests know it by, what each origin gave."""

    num_queries: int
    sha256: str
    corpus: Corpus
    origins: tuple[OriginCount, ...]
    notes: tuple[str, ...]


def publish(
    entries: Sequence[Entry],
    origins: Sequence[OriginCount],
    corpus: Corpus,
    config: QueryListConfig,
    out: Path,
) -> QueryList:
    """Write the list's files and return what it is. Raises ValueError for an empty list.

    The SHA-256 is that of `filters.queries.queries_sha256`, and of the bytes of queries.txt.
    """
    if not entries:
        raise ValueError("no term reaches its threshold: lower --word-min-count or --bigram-min-pmi")
    texts = [entry.text for entry in entries]
    result = QueryList(
        num_queries=len(entries),
        sha256=queries_sha256(texts),
        corpus=corpus,
        origins=tuple(origins),
        notes=tuple(_notes(len(entries), origins, corpus, config)),
    )
    write_table(out / "queries.parquet", list_table(entries))
    write_bytes(out / "queries.txt", "".join(f"{text}\n" for text in texts).encode())
    facts = {"config": asdict(config), **asdict(result)}
    write_bytes(out / "list.json", json.dumps(facts, indent=1, ensure_ascii=False).encode())
    page = list_report(entries, origins, corpus, asdict(config), result.sha256, result.notes)
    write_bytes(out / "report.html", page.encode())
    return result


def _notes(
    num_entries: int, origins: Sequence[OriginCount], corpus: Corpus, config: QueryListConfig
) -> Iterator[str]:
    """Yield what a person should know about the thresholds, in sentences."""
    raised = [count for count in origins if count.num_offered and count.threshold != count.asked]
    for count in raised:
        named = f"{count.origin}s {shown_threshold(count.origin, count.threshold)}"
        what = f"no {count.origin}s" if count.threshold is None else named
        yield f"A size of {config.size:,} implies: {what}."
    if config.size is not None and num_entries < config.size and not raised:
        yield (
            f"The list has {num_entries:,} of {config.size:,} terms: there are no more at these thresholds."
        )
    within_reach = highest_pmi(config.bigram_min_count, corpus.num_words)
    if corpus.num_words and within_reach < config.bigram_min_pmi:
        yield (
            f"No bigram seen {config.bigram_min_count} times can reach {config.bigram_min_pmi:g} bits in "
            f"{corpus.num_words:,} words: {within_reach:.1f} is the most. Lower --bigram-min-pmi."
        )
    if config.dumps and not config.pageviews:
        yield "No titles: their views stand in page view files; give --pageviews."


def summary_lines(result: QueryList, out: Path) -> Iterator[str]:
    """Yield what a person reads at the end: a line for each origin, the notes, where to look."""
    yield f"{'origin':<8} {'offered':>11} {'added':>9}   threshold"
    for count in result.origins:
        threshold = shown_threshold(count.origin, count.threshold)
        yield f"{count.origin:<8} {count.num_offered:>11,} {count.num_added:>9,}   {threshold}"
    yield f"{'all':<8} {'':>11} {result.num_queries:>9,}   sha256 {result.sha256}"
    yield from result.notes
    yield f"list      {out / 'queries.parquet'}\nreport    {out / 'report.html'}"
