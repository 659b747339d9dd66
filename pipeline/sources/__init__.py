"""Where candidates come from. `Sources` is the table: one line per source, which also makes its flags.

A source is a frozen dataclass of its own settings. It is on when they say where to look. Its work is cut
into named units, each of which is read whole or not at all, so that a killed build asks nothing twice.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol, runtime_checkable

import pyarrow as pa

from pipeline.limits import Network
from pipeline.records import Candidate, Query, Rejection
from pipeline.sources.common_crawl import CommonCrawl
from pipeline.sources.commons import Commons
from pipeline.sources.folder import Folder
from pipeline.sources.openverse import Openverse
from pipeline.sources.searxng import Searxng
from pipeline.sources.table import Table


class Source(Protocol):
    """What a source must offer. Its name is its field in `Sources`, and stands in every row it gives."""

    def units(self, queries: Sequence[Query]) -> list[str]:
        """Return the names of its units of work, none where it is off. Names are safe in a file name."""

    def read(
        self, unit: str, queries: Sequence[Query], network: Network
    ) -> Iterator[Candidate | Rejection | pa.Table]:
        """Yield the candidates of one unit, also in tables of CANDIDATE_SCHEMA where they are many, and a
        Rejection for each record that cannot be one."""

    def places(self) -> list[str]:
        """Return where it looks, none where it is off: files by their names (see `names`), or an endpoint."""

    @property
    def licence(self) -> str:
        """What is known of the licences of what it gives, for the manifest."""

    @property
    def max_parallel(self) -> int:
        """How many of its units may be read at once: 1 where a server wants to be asked in series."""


@runtime_checkable
class LocalSource(Protocol):
    """A source whose pictures lie on this machine offers these besides; its URLs have a scheme of its own."""

    def owns(self, url: str) -> bool:
        """Say whether a URL is one of this source's."""

    def read_bytes(self, url: str) -> bytes | None:
        """Return the picture at one of its URLs, None where there is none that it may read."""


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The table of sources."""

    commons: Commons = field(default_factory=Commons)
    openverse: Openverse = field(default_factory=Openverse)
    searxng: Searxng = field(default_factory=Searxng)
    common_crawl: CommonCrawl = field(default_factory=CommonCrawl)
    table: Table = field(default_factory=Table)
    folder: Folder = field(default_factory=Folder)

    def by_name(self) -> dict[str, Source]:
        """Return every source under its name."""
        return {source.name: getattr(self, source.name) for source in fields(self)}

    def owner_of(self, url: str) -> LocalSource | None:
        """Return the local source that a URL belongs to, None for what is fetched over the network."""
        if url.startswith(("http:", "https:")):  # nearly all are, and this is asked for each picture
            return None
        local = (source for source in self.by_name().values() if isinstance(source, LocalSource))
        return next((source for source in local if source.owns(url)), None)
