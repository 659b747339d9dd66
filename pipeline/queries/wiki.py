"""MediaWiki XML dumps, streamed: bz2, gz or plain, of any fsspec URL, in the encoding that they declare."""

import bz2
import gzip
import io
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal, cast

import fsspec

Kind = Literal["article", "redirect", "other"]

BUFFER_BYTES = 1 << 20
FILE_NAMESPACE, CATEGORY_NAMESPACE = "6", "14"
# The names that every wiki knows beside those of its own language.
MEDIA_NAMES = frozenset({"file", "image", "media", "category"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a wiki: an article (main namespace), a redirect to one, or a page of another namespace."""

    title: str
    text: str
    kind: Kind


class Dump:
    """A dump being read. `media_names` are the namespaces (folded) whose links show no text."""

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.media_names = MEDIA_NAMES
        self._stream, self._name = stream, name
        self._other_names: set[str] = set()

    def pages(self) -> Iterator[Page]:
        """Yield the pages in order, one in memory at a time; of a page's revisions the last.

        Raises ValueError for a dump that breaks off or is none: counts of half a dump would look right.
        """
        num_pages = 0
        try:
            for page in self._parse():
                num_pages += 1
                yield page
        except (ET.ParseError, EOFError, OSError, ValueError) as error:
            message = f"{self._name} cannot be read after page {num_pages:,} ({error}): fetch it again"
            raise ValueError(message) from error

    def _parse(self) -> Iterator[Page]:
        fields: dict[str, str] = {}
        root: ET.Element | None = None
        for event, element in ET.iterparse(self._stream, events=("start", "end")):
            if root is None:
                root = element
            tag = element.tag.rpartition("}")[2]
            if event == "start":
                if tag == "redirect":
                    fields["redirect"] = tag
            elif tag == "namespace":
                self._learn(element.get("key", ""), element.text or "")
            elif tag in ("title", "ns", "text"):
                fields[tag] = element.text or ""
            elif tag == "revision":
                element.clear()  # a full history has thousands for one page
            elif tag == "page":
                yield self._page(fields)
                fields = {}
                root.clear()  # else the tree of the whole dump grows below it

    def _learn(self, key: str, name: str) -> None:
        if key in (FILE_NAMESPACE, CATEGORY_NAMESPACE):
            self.media_names |= {name.casefold()}
        if key != "0":
            self._other_names.add(name)

    def _page(self, fields: dict[str, str]) -> Page:
        title, text = fields.get("title", ""), fields.get("text", "")
        # Dumps before 2010 have neither <ns> nor <redirect>.
        inside = fields["ns"] == "0" if "ns" in fields else title.partition(":")[0] not in self._other_names
        kind: Kind = "article" if inside else "other"
        if inside and ("redirect" in fields or text[:9].casefold() == "#redirect"):
            kind = "redirect"
        return Page(title=title, text=text, kind=kind)


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """Open a file or fsspec URL for reading; bz2 and gzip are known by their first bytes, not their names.

    Raises ValueError where it cannot be opened.
    """
    try:
        file = fsspec.open(url, "rb").open()
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"{url} cannot be opened: {error}") from error
    # Peeked at, not sought in: a web server may give no second look.
    with file, io.BufferedReader(file, BUFFER_BYTES) as buffered:
        head = buffered.peek(3)
        if head[:3] == b"BZh":
            with bz2.open(buffered) as stream:
                yield cast(IO[bytes], stream)
        elif head[:2] == b"\x1f\x8b":
            with gzip.open(buffered) as stream:
                yield cast(IO[bytes], stream)
        else:
            yield buffered
