"""`python -m train search index | query | serve`."""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from manifests.command_line import parse
from manifests.places import Place
from train.search.approximate import NEEDED_FROM
from train.search.build import Built, Recipe, build_index
from train.search.question import Question
from train.search.searcher import Hit, Searcher
from train.search.server.settings import ServeSettings

SEARCH_USAGE = """\
usage: python -m train search index --run RUN --data PLACE... --out INDEX   make an index, or renew it
       python -m train search query INDEX "red car" [--image FILE] [--minus WORDS] [--num N] [--json]
       python -m train search serve INDEX [--port N]                          the same as a web page
Each prints its flags with --help, for example: python -m train search index --help
"""

INDEX_USAGE = """\
Index the pictures of datasets, tars, folders or videos by the features of any model.

  python -m train search index --run runs/demo/run --data runs/demo/dataset --out runs/demo/search

The same command later adds what is new and drops what is gone; it goes on where it was killed. OpenAI's and
open_clip's models become runs by `python -m train import`. From 100,000 pictures on the index is approximate
(pip install 'openwit[search]'); videos need pip install 'openwit[video]'.
"""

QUERY_USAGE = """\
Find pictures by words, by a picture, by both, and without other words.

  python -m train search query runs/demo/search "a red car" --minus street --num 10
"""

SERVE_USAGE = """\
Search in a browser, on this machine alone unless --host says otherwise.

  python -m train search serve runs/demo/search --port 8080
"""


@dataclass(frozen=True, kw_only=True)
class IndexRequest:
    """What is indexed by which model."""

    data: tuple[Place, ...]
    """Datasets, folders of tars, folders of pictures and videos: all that the index shall hold."""
    out: Path
    """The index; one that is there is brought up to date."""
    run: Path | None = None
    """The run whose newest checkpoint makes the features; an index keeps it, and needs it only once."""
    every_s: float = 1.0
    """Seconds between the frames of a video that are indexed."""
    approximate_from: int = NEEDED_FROM
    """So many pictures get an approximate index, too; 0 is never."""
    batch_size: int = 64
    """Pictures at a time; features may differ by it in their last digits."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("nothing to index. Next: --data DATASET, or --data FOLDER")
        if not self.every_s > 0:
            raise ValueError(f"--every-s is {self.every_s}, must be above 0. Next: leave it out")
        for name in ("approximate_from", "batch_size"):
            if getattr(self, name) < (name == "batch_size"):
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}. Next: leave it out")

    def recipe(self) -> Recipe:
        """Return what `build_index` is asked for."""
        return Recipe(
            run=self.run,
            data=self.data,
            out=self.out,
            every_s=self.every_s,
            approximate_from=self.approximate_from,
            batch_size=self.batch_size,
        )


@dataclass(frozen=True, kw_only=True)
class QueryRequest:
    """What is searched for."""

    index: tyro.conf.Positional[Path]
    words: tyro.conf.Positional[str] = ""
    image: Path | None = None
    """A picture (JPEG, PNG, WebP, GIF) to search by."""
    minus: str = ""
    """Words for what is not wanted."""
    picture_weight: float = 0.5
    """Of words and a picture: 0 is the words alone, 1 the picture alone."""
    num: int = 20
    exact: bool = False
    """Look at every picture, also where there is an approximate index."""
    show_unsafe: bool = False
    """Also what a score or a column calls unsafe."""
    json: bool = False
    """One JSON object a line."""

    def __post_init__(self) -> None:
        if not 1 <= self.num <= 10_000:
            raise ValueError(f"--num is {self.num}. Next: a number from 1 to 10,000")
        if self.image is not None and not self.image.is_file():
            raise ValueError(f"--image {self.image} is no file. Next: give a picture")

    def hits(self) -> list[Hit]:
        """Return what is found."""
        question = Question(
            words=self.words,
            minus=self.minus,
            picture=self.image.read_bytes() if self.image else None,
            picture_weight=self.picture_weight,
        )
        searcher = Searcher.open(self.index, exact=self.exact)
        return searcher.search(question, self.num, show_unsafe=self.show_unsafe)


def run_search(arguments: Sequence[str]) -> int:
    """Run one of the three commands and return its exit status."""
    commands: dict[str, Callable[[list[str]], int]] = {"index": _index, "query": _query, "serve": _serve}
    name, *rest = arguments or ["--help"]
    if name in ("--help", "-h"):
        print(SEARCH_USAGE)
        return 0
    if name not in commands:
        raise ValueError(f"unknown command search {name!r}, known: {', '.join(commands)}")
    return commands[name](rest)


def _index(arguments: list[str]) -> int:
    request = parse(
        IndexRequest, prog="python -m train search index", description=INDEX_USAGE, arguments=arguments
    )
    built = build_index(request.recipe())
    for line in built.bad:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{describe(built)}. Next: python -m train search serve {request.out}")
    return 0


def _query(arguments: list[str]) -> int:
    request = parse(
        QueryRequest, prog="python -m train search query", description=QUERY_USAGE, arguments=arguments
    )
    for hit in request.hits():
        print(json.dumps(hit.as_json()) if request.json else line_of(hit))
    return 0


def _serve(arguments: list[str]) -> int:
    from train.search.server.app import serve

    settings = parse(
        ServeSettings, prog="python -m train search serve", description=SERVE_USAGE, arguments=arguments
    )
    serve(settings)
    return 0


def describe(built: Built) -> str:
    """Return what was done in a line."""
    index, found = built.index, built.index.approximate
    how = (
        f"approximate search in {found['num_probes']} of {found['num_cells']} cells, "
        f"recall@10 {found['recall_at_10']:.1%}"
        if found
        else "exact search"
    )
    bad = f", {index.num_bad:,} could not be read" if index.num_bad else ""
    changed = f"{built.num_added:,} added, {built.num_dropped:,} dropped"
    return f"{index.num_pictures:,} pictures indexed ({changed}{bad}); {how}"


def line_of(hit: Hit) -> str:
    """Return a picture that was found as a line for people; what its caption would do to a terminal is
    left out."""
    row = hit.row
    where = row.get("url") or row["file"]
    at = f" at {clock(row['time_s'])}" if row.get("time_s") is not None else ""
    copies = f", {row['num_duplicates']} copies" if row.get("num_duplicates") else ""
    licence = row.get("licence") or "no licence known"
    line = f"{hit.score:.3f}  {row['caption']}  [{where}{at}; {licence}{copies}]"
    return "".join(letter if letter.isprintable() else " " for letter in line)


def clock(seconds: float) -> str:
    """Return a time in a video as people read it.

    >>> clock(3725.25), clock(9)
    ('1:02:05.2', '0:09.0')
    """
    tenths = int(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"
