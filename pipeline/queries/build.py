"""MAIN PATH: the query list in phases, each leaving files that the next one reads.

    dumps -> counted (runs) -> words, bigrams \\
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

import apache_beam as beam

from pipeline.parts import parts_in
from pipeline.progress import num_files, shown
from pipeline.queries.bigrams import Limits, merge_bigrams
from pipeline.queries.choose import choose
from pipeline.queries.config import QueryListConfig, QueryListRun
from pipeline.queries.counted import (
    Corpus,
    count_dump,
    count_unit,
    count_views,
    num_pages,
    raise_failed,
    units_of,
)
from pipeline.queries.offers import offer_bigrams, offer_titles, offer_words
from pipeline.queries.publish import QueryList, publish
from pipeline.queries.runs import Merge, bucket_ranges, runs_of, write_merged
from pipeline.queries.titles import merge_titles
from pipeline.queries.wordnet import synset_names
from pipeline.queries.words import merge_words
from pipeline.runners import run

Task = Callable[[], None]


def build_list(config: QueryListConfig, options: QueryListRun) -> QueryList:
    """Build the list into `options.out`, or go on with it; return what it is.

    Raises ValueError for inputs that cannot be read and a size that the synset names alone exceed.
    """
    synsets = synset_names(config.wordnet) if config.wordnet else []
    job = _Job(config, options)
    corpus = job.count()
    words, titles = job.merge_words_and_titles()
    bigrams = job.merge_bigrams(words, corpus.num_words)
    ranked = [
        offer_words(words, config.word_min_count),
        offer_bigrams(bigrams, words, config.bigram_min_pmi),
        offer_titles(titles, config.title_min_views),
    ]
    entries, origins = choose(ranked, synsets, config.size)
    return publish(entries, origins, corpus, config, options.out)


class Tasks(beam.PTransform):
    """Tasks that each write files of their own; a task may run twice and leaves the same."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.tasks = tasks

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        return begin | "each task" >> beam.Create(self.tasks) | "do it" >> beam.Map(lambda task: task())


@dataclass(frozen=True)
class _Job:
    config: QueryListConfig
    options: QueryListRun

    def count(self) -> Corpus:
        """Count every dump and every page view file that is not counted yet."""
        counted, viewed, config = self._counted, self._viewed, self.config
        dumps, files = units_of(config.dumps, counted), units_of(config.pageviews, viewed)
        tallies = counted / f"tally-{time.time_ns()}"
        count = partial(count_dump, tallies=tallies)
        views = partial(count_views, projects=config.pageview_projects)
        tasks = [
            *(partial(count_unit, unit, count, counted) for unit in dumps),
            *(partial(count_unit, unit, views, viewed) for unit in files),
        ]
        pages = partial(num_pages, dumps, counted, tallies)
        with shown("counted", " pages", None, pages, self.options.quiet):
            self._run(tasks)
        shutil.rmtree(tallies, ignore_errors=True)
        raise_failed(counted)
        raise_failed(viewed)
        return Corpus.read(parts_in(counted))

    def merge_words_and_titles(self) -> tuple[list[Path], list[Path]]:
        """Add up the words that may be terms or parts of bigrams; join titles with their views."""
        config = self.config
        runs = runs_of(self._counted, "words")
        least = min(config.word_min_count, config.bigram_min_count)
        words = Merge(
            runs=runs,
            work=partial(merge_words, runs, min_count=least),
            out=self._folder("words", config.dumps, least),
        )
        titles, views = runs_of(self._counted, "titles"), runs_of(self._viewed, "views")
        inputs = (config.dumps, config.pageviews, config.pageview_projects, config.title_min_views)
        joined = Merge(
            runs=[*titles, *views],
            work=partial(merge_titles, titles, views, min_views=config.title_min_views),
            out=self._folder("titles", *inputs),
        )
        self._merge(words, joined)
        return words.parts(), joined.parts()

    def merge_bigrams(self, words: Sequence[Path], num_words: int) -> list[Path]:
        """Add up the bigrams and keep those that reach their thresholds."""
        config = self.config
        runs = runs_of(self._counted, "bigrams")
        limits = Limits(min_count=config.bigram_min_count, min_pmi=config.bigram_min_pmi)
        merge = Merge(
            runs=runs,
            work=partial(merge_bigrams, runs, words=words, num_words=num_words, limits=limits),
            out=self._folder("bigrams", config.dumps, limits),
        )
        self._merge(merge)
        return merge.parts()

    @property
    def _counted(self) -> Path:
        return self._folder("counted", self.config.dumps)

    @property
    def _viewed(self) -> Path:
        return self._folder("viewed", self.config.pageviews, self.config.pageview_projects)

    def _folder(self, phase: str, *inputs: object) -> Path:
        """Return where a phase writes: other inputs, another folder."""
        folder = self.options.out / "work" / f"{phase}-{sha256(repr(inputs).encode()).hexdigest()[:12]}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _merge(self, *merges: Merge) -> None:
        spans = [(span, merge) for merge in merges for span in bucket_ranges(merge.runs)]
        tasks = [partial(write_merged, span, merge) for span, merge in spans if not merge.path(span).exists()]
        done = [num_files(merge.out) for merge in merges]
        with shown("merged", " parts", len(spans), lambda: sum(num() for num in done), self.options.quiet):
            self._run(tasks)

    def _run(self, tasks: Sequence[Task]) -> None:
        if tasks:
            run(Tasks(tasks), self.options.workers)
