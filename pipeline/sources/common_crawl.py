"""Common Crawl, or any crawl in its formats: WAT files (links with their alt text) and WARC files (pages).

Formats: commoncrawl.org/get-started, ISO 28500 (WARC). Lists such as wat.paths.gz stand for their files.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from filters.reasons import Drop, Reason
from filters.sampling import priority
from pipeline.crawl_files.files import listed, opened
from pipeline.crawl_files.rows import Page, Unreadable, to_blocks
from pipeline.crawl_files.warc import read_warc
from pipeline.crawl_files.wat import read_wat
from pipeline.limits import Network, require
from pipeline.records import Candidate, Query, Rejection, reject
from pipeline.sources.names import names_of

SOURCE = "common_crawl"


@dataclass(frozen=True, kw_only=True)
class CommonCrawl:
    """Crawl files, each a unit of work. WARC gives more captions a picture, WAT more pages a second."""

    paths: tuple[str, ...] = ()
    """WAT or WARC files (also .gz), or lists of them (*.paths.gz); local, or URLs that fsspec knows."""
    prefix: str = "https://data.commoncrawl.org/"
    """Stands before the names in a list that are neither URLs nor absolute paths."""
    max_files: int | None = None
    """Read so many of them, chosen by hash, instead of all."""

    def __post_init__(self) -> None:
        require(
            self.max_files is None or self.max_files >= 1,
            self.max_files,
            "common-crawl.max-files must be >= 1",
        )

    @property
    def max_parallel(self) -> int:
        return 64

    @property
    def licence(self) -> str:
        return "pages and pictures belong to their owners; where a page names a licence, it is in that column"

    def places(self) -> list[str]:
        """Return the files by their names."""
        return names_of(self.files())

    def files(self) -> list[str]:
        """Return the files to read, in the order of the lists. Raises ValueError for one of no known kind."""
        files = list(dict.fromkeys(file for path in self.paths for file in listed(path, self.prefix)))
        for file in files:
            if ".wat" not in file and ".warc" not in file:
                raise ValueError(
                    f"common-crawl.paths: {file} is no .wat or .warc file, nor a list of them (.paths.gz)"
                )
        if self.max_files is not None and len(files) > self.max_files:
            chosen = set(sorted(files, key=lambda file: priority(file, salt="files"))[: self.max_files])
            files = [file for file in files if file in chosen]
        return files

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return one unit per file."""
        return [f"{number:06d}" for number in range(len(self.files()))]

    def read(
        self, unit: str, queries: Sequence[Query], network: Network
    ) -> Iterator[Candidate | Rejection | pa.Table]:
        """Yield the candidates of one file in blocks, then a Rejection for each piece that cannot be read.

        Raises OSError where a remote file is there and cannot be had: the build goes on from there later.
        """
        path, name = self.files()[int(unit)], self.places()[int(unit)]
        unreadable = list[Unreadable]()
        try:
            with opened(path) as file:
                records = read_wat(file) if ".wat" in path else read_warc(file)
                yield from to_blocks(_without(records, unreadable), SOURCE, name)
        except FileNotFoundError:
            unreadable.append(Unreadable("there is no such file"))
        for piece in unreadable:
            drop = Drop(Reason.SOURCE_ERROR, f"{path.rpartition('/')[2]}: {piece.detail}")
            yield reject("crawl", drop, Candidate(url="", caption="", source=SOURCE))


def _without(records: Iterable[Page | Unreadable], unreadable: list[Unreadable]) -> Iterator[Page]:
    """Yield the pages, and put aside what could not be read."""
    for record in records:
        if isinstance(record, Unreadable):
            unreadable.append(record)
        else:
            yield record
