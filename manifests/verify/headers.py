"""The headers of a tar, looked at many at a time as its blocks go by: are they those of its index?"""

import tarfile
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

BLOCK = tarfile.BLOCKSIZE
NAME_BYTES = 100
HEADERS_AT_ONCE = 1024
KEY_DIGITS = 32
PICTURE_ENDINGS = ("jpg", "png", "webp")

Numbers = npt.NDArray[np.int64]
Headers = npt.NDArray[np.uint8]  # (number of headers, 512)


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where the members of a tar lie by its index: the picture, the text and the facts of pair after pair."""

    keys: pa.Array
    offsets: Numbers  # of the pictures' bytes
    picture_bytes: Numbers
    text_bytes: Numbers

    @classmethod
    def of(cls, index: pa.Table) -> "Layout":
        """Read it from the columns key, offset, num_bytes and caption of an index, which hold no nulls."""
        return cls(
            keys=index["key"].combine_chunks(),
            offsets=index["offset"].to_numpy(),
            picture_bytes=index["num_bytes"].to_numpy(),
            text_bytes=pc.binary_length(index["caption"]).to_numpy().astype(np.int64),
        )

    def places(self) -> Numbers:
        """Return where the headers lie, (3 for each pair,)."""
        pictures = self.offsets - BLOCK
        texts = self.offsets + padded(self.picture_bytes)
        return np.stack((pictures, texts, texts + BLOCK + padded(self.text_bytes)), axis=1).ravel()

    def sizes(self) -> Numbers:
        """Return the members' sizes, (3 for each pair,); -1 for facts, whose size no index tells."""
        facts = np.full(len(self.offsets), -1, np.int64)
        return np.stack((self.picture_bytes, self.text_bytes, facts), axis=1).ravel()

    def names(self, ending: bytes) -> Headers:
        """Return the members' names as headers hold them, (3 for each pair, 100), for pictures of a kind."""
        names = np.zeros((len(self.keys), 3, NAME_BYTES), np.uint8)
        digits = np.array(self.keys.to_pylist(), dtype=f"S{KEY_DIGITS}").view(np.uint8)
        names[:, :, :KEY_DIGITS] = digits.reshape(-1, 1, KEY_DIGITS)
        for kind, name in enumerate((ending, b"txt", b"json")):
            names[:, kind, KEY_DIGITS : KEY_DIGITS + 1 + len(name)] = list(b"." + name)
        return names.reshape(-1, NAME_BYTES)


def padded(sizes: Numbers) -> Numbers:
    """Return the room that members of these sizes take."""
    return -(-sizes // BLOCK) * BLOCK


class HeaderCheck:
    """Looks at the headers of a tar as its blocks go by: are they where the index says, and what it says?"""

    def __init__(self, layout: Layout) -> None:
        self._layout, self._places, self._sizes = layout, layout.places(), layout.sizes()
        self._names: Headers | None = None
        self._waiting: Headers = np.empty((HEADERS_AT_ONCE, BLOCK), np.uint8)
        self._num_waiting = self._num_seen = self._end = 0
        begins = not len(self._places) or self._places[0] == 0
        follows = (self._places % BLOCK == 0).all() and (np.diff(self._places) > 0).all()
        self._agrees = bool(begins and follows)

    def take(self, start: int, block: memoryview) -> None:
        """Look at the block that begins at byte `start` of the tar, a multiple of 512."""
        whole = np.frombuffer(block, np.uint8)[: len(block) // BLOCK * BLOCK].reshape(-1, BLOCK)
        while self._agrees:
            first = self._num_seen + self._num_waiting
            last = first + HEADERS_AT_ONCE - self._num_waiting
            places = self._places[first:last]
            places = places[: np.searchsorted(places, start + len(whole) * BLOCK)]
            if not len(places):
                return
            after = self._num_waiting + len(places)
            np.take(whole, (places - start) // BLOCK, axis=0, out=self._waiting[self._num_waiting : after])
            self._num_waiting = after
            if after == HEADERS_AT_ONCE:
                self._look()

    def end(self) -> int | None:
        """Return where the last member ends when all blocks were taken; None where anything differs."""
        self._look()
        return self._end if self._agrees and self._num_seen == len(self._places) else None

    def _look(self) -> None:
        """Compare the headers that wait."""
        headers, seen = self._waiting[: self._num_waiting], self._num_seen
        if not len(headers) or not self._agrees:
            return
        if self._names is None:
            ending = headers[0, KEY_DIGITS + 1 : NAME_BYTES].tobytes().rstrip(b"\0")
            self._names = self._layout.names(
                ending if ending.decode(errors="replace") in PICTURE_ENDINGS else b"?"
            )
        self._num_seen, self._num_waiting = seen + len(headers), 0
        sizes = sizes_in(headers)
        ends = self._places[seen : self._num_seen] + BLOCK + padded(sizes)
        known = self._sizes[seen : self._num_seen]
        self._end = int(ends[-1])
        nexts = self._places[seen + 1 : self._num_seen + 1]  # one less at the end of the tar
        self._agrees = bool(
            (headers[:, :NAME_BYTES] == self._names[seen : self._num_seen]).all()
            and (sizes >= 0).all()
            and ((sizes == known) | (known < 0)).all()
            and (ends[: len(nexts)] == nexts).all()
            and are_plain(headers).all()
        )


def sizes_in(headers: Headers) -> Numbers:
    """Return the sizes that headers tell, -1 for what is not written as plain octal digits."""
    digits = headers[:, 124:135].astype(np.int64) - ord("0")
    plain = ((digits >= 0) & (digits < 8)).all(axis=1) & np.isin(headers[:, 135], (0, ord(" ")))
    return np.where(plain, digits @ (8 ** np.arange(10, -1, -1)), -1)


def are_plain(headers: Headers) -> npt.NDArray[np.bool_]:
    """Return for each header whether it is a plain file's, its name without a prefix and its sum right."""
    sums = (
        headers.sum(axis=1, dtype=np.int64) - headers[:, 148:156].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    )
    digits = headers[:, 148:154].astype(np.int64) - ord("0")
    told = digits @ (8 ** np.arange(5, -1, -1))
    right = (sums == told) & ((digits >= 0) & (digits < 8)).all(axis=1)
    plain: npt.NDArray[np.bool_] = right & (headers[:, 156] == ord("0")) & ~headers[:, 345:500].any(axis=1)
    return plain
