"""What one part of an index is made of: its pictures in order, and what changes when they do."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from train.search.parts import Row

# What is known of a picture; null where it is not.
COLUMNS = (
    *("key", "offset", "num_bytes", "caption", "url", "page_url", "source", "licence", "author"),
    *("width", "height", "num_duplicates", "extra_captions"),
)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture to be indexed: its bytes, and the row that says where they are."""

    data: bytes
    row: Row
    frame: bytes = b""  # of a video's: the JPEG to show


class Unit(Protocol):
    """What one part is made of."""

    @property
    def place(self) -> str:
        """The dataset or the folder."""

    @property
    def name(self) -> str:
        """Of the shard, of the video or of the first of its files."""

    @property
    def identity(self) -> str:
        """What changes when anything of it changes."""

    def pictures(self) -> Iterator[Picture]:
        """Yield its pictures in order. Raises OSError where its file cannot be read."""
