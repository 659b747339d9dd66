"""MAIN PATH: the query list in phases, each leaving files that the next one reads.

    dumps -> counted (runs) -> words, bigrams \
    page views -> viewed (runs) -> titles      > chosen -> queries.parquet, queries.txt, report.html
    WordNet -----------------------> synsets  /

What is counted does not depend on the thresholds: another try with others reads no dump again.
"""

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa

from manifests.store import write_table
from pipeline.parts import parts_in
from pipeline.progress import num_files, shown
from pipeline.queries.bigrams import merge_bigrams
from pipeline.queries.choose import choose
from pipeline.queries.config import QueryListConfig, QueryListRun
from pipeline.queries.counted import (
    Corpus,
    Unit,
    count_dump,
    count_unit,
    count_views,
    num_pages,
    raise_failed,
)
from pipeline.queries.offers import offer_bigrams, offer_titles, offer_words
from pipeline.queries.publish import QueryList, publish
from pipeline.queries.runs import BucketRange, bucket_ranges, runs_of
from pipeline.queries.titles import merge_titles
from pipeline.queries.wordnet import synset_names
from pipeline.queries.words import WordCounts, merge_words
from pipeline.runners import run


def build_list(config: QueryListConfig, options: QueryListRun) -> QueryList:
    """Build the list into `options.out`, or go on with it; return what it is.

    Raises ValueError for inputs that cannot be read and a size that the synset names alone exceed.
    """
    synsets = synset_names(config.wordnet) if config.wordnet else []
    job = _Job(config, options)
    corpus = job.count()
    words = job.merge_words()
    bigrams, titles = job.merge_bigrams(words, corpus.num_words), job.merge_titles()
    ranked = [
        offer_words(words, config.word_min_count),
        offer_bigrams(bigrams, words, config.bigram_min_pmi),
        offer_titles(titles, config.title_min_views),
    ]
    entries, origins = choose(ranked, synsets, config.size)
    return publish(entries, origins, corpus, config, options.out)


class Each(beam.PTransform):
    """Every item through a function that writes its own part of a phase."""

    def __init__(self, items: Sequence[Any], function: Callable[[Any], None]) -> None:
        super().__init__()
        self.items, self.function = items, function

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | "each" >> beam.Create(self.items) | "work" >> beam.Map(self.function)


@dataclass(frozen=True)
class _Job:
    config: QueryListConfig
    options: QueryListRun

    def folder(self, phase: str, *inputs: object) -> Path:
        """Return where a phase writes: other inputs, another folder."""
        folder = self.options.out / "work" / f"{phase}-{sha256(repr(inputs).encode()).hexdigest()[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def counted(self) -> Path:
        return self.folder("counted", self.config.dumps)

    @property
    def viewed(self) -> Path:
        return self.folder("viewed", self.config.pageviews, self.config.pageview_projects)

    def count(self) -> Corpus:
        """Count every dump and every page view file that is not counted yet."""
        dumps = [Unit(f"{number:05d}", url) for number, url in enumerate(self.config.dumps)]
        tallies = self.counted / f"tally-{time.time_ns()}"
        pages = partial(num_pages, dumps, self.counted, tallies)
        with shown("counted", " pages", None, pages, self.options.quiet):
            count = partial(count_dump, tallies=tallies)
            self._run(dumps, partial(count_unit, count=count, out=self.counted))
        shutil.rmtree(tallies, ignore_errors=True)
        files = [Unit(f"{number:05d}", url) for number, url in enumerate(self.config.pageviews)]
        with shown("viewed", " files", len(files), num_files(self.viewed), self.options.quiet):
            views = partial(count_views, projects=self.config.pageview_projects)
            self._run(files, partial(count_unit, count=views, out=self.viewed))
        raise_failed(self.counted)
        raise_failed(self.viewed)
        return Corpus.read(parts_in(self.counted))

    def merge_words(self) -> list[Path]:
        """Add up the words that may be terms or parts of bigrams."""
        runs = runs_of(self.counted, "words")
        least = min(self.config.word_min_count, self.config.bigram_min_count)
        return self._merge(
            "words", (self.config.dumps, least), runs, partial(merge_words, runs, min_count=least)
        )

    def merge_bigrams(self, words: Sequence[Path], num_words: int) -> list[Path]:
        """Add up the bigrams and keep those that reach their thresholds."""
        runs, limits = (
            runs_of(self.counted, "bigrams"),
            (self.config.bigram_min_count, self.config.bigram_min_pmi),
        )
        work = partial(_merge_bigrams, runs, words=words, num_words=num_words, limits=limits)
        return self._merge("bigrams", (self.config.dumps, limits), runs, work)

    def merge_titles(self) -> list[Path]:
        """Join titles with their views."""
        titles, views = runs_of(self.counted, "titles"), runs_of(self.viewed, "views")
        inputs = (self.config.dumps, self.config.pageviews, self.config.pageview_projects)
        least = self.config.title_min_views
        work = partial(merge_titles, titles, views, min_views=least)
        return self._merge("titles", (*inputs, least), [*titles, *views], work)

    def _merge(
        self, phase: str, inputs: object, runs: Sequence[Path], work: Callable[[BucketRange], pa.Table]
    ) -> list[Path]:
        out = self.folder(phase, inputs)
        ranges = bucket_ranges(runs)
        with shown(phase, " parts", len(ranges), num_files(out), self.options.quiet):
            self._run(ranges, partial(_write_merged, work=work, out=out))
        return [part.path for part in parts_in(out)]

    def _run(self, items: Sequence[Unit | BucketRange], function: Callable[[Any], None]) -> None:
        if items:
            run(Each(items, function), self.options.workers)


def _write_merged(buckets: BucketRange, work: Callable[[BucketRange], pa.Table], out: Path) -> None:
    path = out / f"{buckets.name}.parquet"
    if not path.exists():
        write_table(path, work(buckets))


def _merge_bigrams(
    runs: Sequence[Path],
    buckets: BucketRange,
    words: Sequence[Path],
    num_words: int,
    limits: tuple[int, float],
) -> pa.Table:
    min_count, min_pmi = limits
    return merge_bigrams(runs, buckets, WordCounts(words), num_words, min_count, min_pmi)
