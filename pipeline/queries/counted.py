"""Counting one dump, or one page view file, into runs; the unit's own table says that it is whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from manifests.store import write_bytes, write_table
from pipeline.parts import Part, parts_in
from pipeline.progress import Tally, counts_in
from pipeline.queries.counts import WordCounter
from pipeline.queries.markup import plain_text
from pipeline.queries.titles import read_views, title_run, view_run
from pipeline.queries.wiki import Dump, opened

MAX_TITLES = 1_000_000
CORPUS_SCHEMA = pa.schema(
    [(name, pa.int64()) for name in ("num_articles", "num_redirects", "num_other_pages", "num_words")]
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A file to count."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """What was read: articles are counted, redirects and pages of other namespaces are not."""

    num_articles: int = 0
    num_redirects: int = 0
    num_other_pages: int = 0
    num_words: int = 0

    @classmethod
    def read(cls, parts: Sequence[Part]) -> "Corpus":
        """Add up what the units say."""
        rows = [row for part in parts for row in part.rows().to_pylist()]
        return cls(**{name: sum(row[name] for row in rows) for name in CORPUS_SCHEMA.names})

    @property
    def num_pages(self) -> int:
        """Pages of every kind."""
        return self.num_articles + self.num_redirects + self.num_other_pages


def num_pages(units: Sequence[Unit], out: Path, tallies: Path) -> int:
    """Return the pages read so far, also by other processes: of whole units and of others."""
    done = Corpus.read(parts_in(out))
    under_way = [unit.name for unit in units if not Part(out, unit.name).path.exists()]
    return done.num_pages + sum(counts_in(tallies / name)["pages"] for name in under_way)


def units_of(urls: Sequence[str], out: Path) -> list[Unit]:
    """Return the files that are not counted yet."""
    units = [Unit(f"{number:05d}", url) for number, url in enumerate(urls)]
    return [unit for unit in units if not (out / f"{unit.name}.parquet").exists()]


def count_unit(unit: Unit, count: Callable[[Unit, Path], pa.Table], out: Path) -> None:
    """Count a file; what `count` returns is written last, and says that the unit is whole.

    A file that cannot be read leaves a message for `raise_failed`: the other files are still worth counting.
    """
    for left in (*out.glob(f"{unit.name}-*.run"), *out.glob(f"{unit.name}.failed")):
        left.unlink()  # by a run that was cut short, perhaps of a file that has been fetched again since
    try:
        write_table(out / f"{unit.name}.parquet", count(unit, out))
    except ValueError as error:
        write_bytes(out / f"{unit.name}.failed", str(error).encode())


def raise_failed(out: Path) -> None:
    """Raise ValueError where a unit could not be read."""
    messages = [path.read_text() for path in sorted(out.glob("*.failed"))]
    if messages:
        more = f" (and {len(messages) - 1} more files)" if len(messages) > 1 else ""
        raise ValueError(f"{messages[0]}{more}")


def count_dump(unit: Unit, out: Path, tallies: Path) -> pa.Table:
    """Count a dump's words, bigrams and titles into runs in `out`; return what was read (CORPUS_SCHEMA)."""
    runs = _Runs(out, unit.name)
    counter, titles, tally = WordCounter(), list[str](), Tally(tallies / unit.name)
    num_pages = dict.fromkeys(("article", "redirect", "other"), 0)
    with opened(unit.url) as stream:
        dump = Dump(stream, unit.url)
        for page in dump.pages():
            num_pages[page.kind] += 1
            tally.add("pages")
            if page.kind != "article":
                continue
            titles.append(page.title)
            counter.add(plain_text(page.text, dump.media_names))
            if counter.full:
                runs.write(counter, titles)
    runs.write(counter, titles)
    row = [[num_pages[kind]] for kind in num_pages] + [[counter.num_words]]
    return pa.table(row, schema=CORPUS_SCHEMA)


class _Runs:
    """Writes what has been counted, and begins anew."""

    def __init__(self, out: Path, name: str) -> None:
        self._out, self._name, self._number = out, name, 0

    def write(self, counter: WordCounter, titles: list[str]) -> None:
        words, bigrams = counter.drain()
        stem = f"{self._name}-{self._number:05d}"
        write_table(self._out / f"{stem}.words.run", words)
        write_table(self._out / f"{stem}.bigrams.run", bigrams)
        write_table(self._out / f"{stem}.titles.run", title_run(titles))
        titles.clear()
        self._number += 1


def count_views(unit: Unit, out: Path, projects: tuple[str, ...]) -> pa.Table:
    """Add up the views of each title in a page view file into runs in `out`; return the number of lines."""
    views: dict[str, int] = {}
    num_lines, num_runs = 0, 0
    try:
        with opened(unit.url) as stream:
            for title, count in read_views(stream, projects):
                num_lines += 1
                views[title] = views.get(title, 0) + count
                if len(views) >= MAX_TITLES:
                    write_table(out / f"{unit.name}-{num_runs:05d}.views.run", view_run(views))
                    views, num_runs = {}, num_runs + 1
    except (EOFError, OSError) as error:
        message = f"{unit.url} cannot be read after line {num_lines:,} ({error}): fetch it again"
        raise ValueError(message) from error
    write_table(out / f"{unit.name}-{num_runs:05d}.views.run", view_run(views))
    return pa.table({"num_lines": [num_lines]})
