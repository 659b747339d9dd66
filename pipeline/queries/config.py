"""What the query list is made from and which terms it takes (QueryListConfig), and how this run does it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pipeline.limits import require


@dataclass(frozen=True, kw_only=True)
class QueryListConfig:
    """Everything that decides what is in the list."""

    dumps: tuple[str, ...] = ()
    """MediaWiki XML dumps (pages-articles; bz2, gz or plain), files or fsspec URLs."""
    pageviews: tuple[str, ...] = ()
    """Wikimedia page view files, hourly (pageviews-*.gz) or pageview_complete, files or fsspec URLs."""
    wordnet: str | None = None
    """Folder of WordNet: its own data.* or index.* files, or lists of lemmas."""
    word_min_count: int = 100
    """Words seen at least so often (CLIP: 100)."""
    bigram_min_pmi: float = 30.0
    """Bigrams of at least this pointwise mutual information, log2(p(xy) / (p(x) p(y))) (MetaCLIP: 30). In N
    words a bigram seen c times has at most log2(N / c): the report says what is within reach."""
    bigram_min_count: int = 3
    """Bigrams seen at least so often."""
    title_min_views: int = 70
    """Titles of articles viewed at least so often in all page view files together (MetaCLIP: 70)."""
    pageview_projects: tuple[str, ...] = ("en", "en.m", "en.wikipedia")
    """The wiki's codes in page view files."""
    size: int | None = 500_000
    """At most so many terms: titles of fewest views are left out first, then bigrams of least mutual
    information, then the rarest words. The report says which threshold that is. None: no limit."""

    def __post_init__(self) -> None:
        for name in ("word_min_count", "bigram_min_count", "title_min_views"):
            require(getattr(self, name) >= 1, getattr(self, name), f"{name.replace('_', '-')} must be >= 1")
        require(self.size is None or self.size >= 1, self.size, "size must be >= 1, or None")
        require(bool(self.pageview_projects), self.pageview_projects, "pageview-projects must name a wiki")
        if not self.dumps and not self.wordnet:
            raise ValueError("there is nothing to make a list of: give --dumps FILE... or --wordnet FOLDER")
        if self.pageviews and not self.dumps:
            raise ValueError("--pageviews needs --dumps: titles, redirects left out, stand there")


@dataclass(frozen=True, kw_only=True)
class QueryListRun:
    """Where the list is written and how; none of it changes a byte of the result."""

    out: Path
    """Folder for queries.parquet, queries.txt, list.json and report.html; the same command on the same
    folder goes on where it stopped."""
    workers: int = 1
    """Processes. 1 runs everything in this one."""
    quiet: bool = False
    """No progress bars."""

    def __post_init__(self) -> None:
        require(self.workers >= 1, self.workers, "workers must be >= 1")


@dataclass(frozen=True, kw_only=True)
class QueryListRequest:
    """What the command line asks for."""

    config: Annotated[QueryListConfig, tyro.conf.arg(name="")]
    run: Annotated[QueryListRun, tyro.conf.arg(name="")]
