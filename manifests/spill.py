"""Sets of 64-bit hashes that do not fit in memory: written to disk by their first bits, read back in ranges.

A range is some millions of records, whatever their number in all; a record is a few numbers of 8 bytes, the
first of which is the hash it lies by. What is compared must be spilled with the same number of ranges.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Hashes = npt.NDArray[np.uint64]
Records = npt.NDArray[np.uint64]  # (number of records, numbers a record), the first column the hash

PER_RANGE = 4_000_000
MAX_WAITING = 1_000_000
MAX_FILTER_BITS = 30  # 128 MiB
KEY_DIGITS = 32


def num_range_bits(num_records: int) -> int:
    """Return how many first bits of a hash tell its range, so that one holds some PER_RANGE records."""
    return max(0, -(-num_records // PER_RANGE) - 1).bit_length()


class Spill:
    """Records on disk by the range of their hash. The folder belongs to it, and its files stay in it."""

    def __init__(self, folder: Path, range_bits: int, width: int = 1) -> None:
        folder.mkdir()
        self._paths = [folder / str(number) for number in range(1 << range_bits)]
        self._range_bits, self._width = range_bits, width
        self._waiting: list[Records] = []
        self._num_waiting = 0
        self.num_records = 0

    def add(self, records: Records) -> None:
        """Append records, in any order."""
        assert records.shape[1:] == (self._width,), (records.shape, self._width)
        self.num_records += len(records)
        self._num_waiting += len(records)
        self._waiting.append(records)
        if self._num_waiting >= MAX_WAITING:
            self._flush()

    def _flush(self) -> None:
        """Write what waits: many small appends to as many files would cost more than all the rest."""
        records = np.concatenate([np.empty((0, self._width), np.uint64), *self._waiting])
        self._waiting, self._num_waiting = [], 0
        ranges = (records[:, 0] >> np.uint64(1)) >> np.uint64(63 - self._range_bits)  # of no bits, too
        counts = np.bincount(ranges.astype(np.int64), minlength=len(self._paths))
        in_order = records[np.argsort(ranges, kind="stable")]
        for number, part in enumerate(np.split(in_order, np.cumsum(counts)[:-1])):
            if len(part):
                self._append(number, part)

    def _append(self, number: int, records: Records) -> None:
        with self._paths[number].open("ab") as file:
            file.write(np.ascontiguousarray(records).data)

    def ranges(self) -> Iterator[Records]:
        """Yield the records of each range, in the order of their hashes; equal hashes as they were added."""
        self._flush()
        for path in self._paths:
            data = np.fromfile(path, np.uint64) if path.exists() else np.empty(0, np.uint64)
            records = data.reshape(-1, self._width)
            yield records[np.argsort(records[:, 0], kind="stable")]


class MayHold:
    """A filter: says for sure what is not in a set of hashes, and may be wrong about what is. A bit each."""

    def __init__(self, num_hashes: int) -> None:
        bits = min(MAX_FILTER_BITS, max(10, (8 * num_hashes).bit_length()))
        self._shift, self._bits = np.uint64(64 - bits), np.zeros(1 << (bits - 3), np.uint8)

    def add(self, hashes: Hashes) -> None:
        """Put hashes into the set."""
        place = hashes >> self._shift
        np.bitwise_or.at(self._bits, place >> np.uint64(3), _bit(place))

    def mask(self, hashes: Hashes) -> npt.NDArray[np.bool_]:
        """Return for each hash whether it may be in the set."""
        place = hashes >> self._shift
        found: npt.NDArray[np.bool_] = (self._bits[place >> np.uint64(3)] & _bit(place)) != 0
        return found


def _bit(place: Hashes) -> npt.NDArray[np.uint8]:
    return np.left_shift(1, (place & np.uint64(7)).astype(np.uint8)).astype(np.uint8)


def is_among(hashes: Hashes, of: Hashes) -> npt.NDArray[np.bool_]:
    """Return for each hash whether it is in a sorted array.

    >>> is_among(np.array([1, 5, 9], np.uint64), np.array([5, 7], np.uint64)).tolist()
    [False, True, False]
    """
    return places_in(hashes, of) >= 0


def places_in(hashes: Hashes, of: Hashes) -> npt.NDArray[np.int64]:
    """Return where each hash first is in a sorted array, -1 where it is not.

    >>> places_in(np.array([1, 5, 9], np.uint64), np.array([5, 5, 9], np.uint64)).tolist()
    [-1, 0, 2]
    """
    if not len(of):
        return np.full(len(hashes), -1, np.int64)
    place = np.searchsorted(of, hashes)
    place[place == len(of)] = 0
    return np.where(of[place] == hashes, place, -1).astype(np.int64)


def key_numbers(keys: pa.ChunkedArray) -> Records:
    """Return each key as two numbers, its first and its last 64 bits. Keys are hashes, so that the first
    number tells 400 million apart, but for a chance of 0.4 % that two agree. Raises ValueError for no key.

    >>> [hex(half) for half in key_numbers(pa.chunked_array([["00ff" + 28 * "a"]]))[0]]
    ['0xffaaaaaaaaaaaa', '0xaaaaaaaaaaaaaaaa']
    """
    array = keys.combine_chunks()
    if len(array) == 0:
        return np.empty((0, 2), np.uint64)
    ends = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1]
    if array.null_count or (np.diff(ends) != KEY_DIGITS).any():
        raise ValueError(f"a key must have {KEY_DIGITS} hex digits. Next: python -m manifests verify")
    text = np.frombuffer(array.buffers()[2], np.uint8)[ends[0] : ends[-1]].reshape(-1, KEY_DIGITS)
    digits = (text & 15) + (text >> 6) * 9  # "0" is 0x30, "a" is 0x61
    return np.ascontiguousarray(digits[:, 0::2] << 4 | digits[:, 1::2]).view(">u8").astype(np.uint64)


def pair_hashes(urls: Sequence[str], captions: Sequence[str]) -> Hashes:
    """Return 64 bits of a hash of each URL and caption, which name a pair before it has a picture."""
    digest = b"".join(
        hashlib.blake2b(f"{url}\n{caption}".encode(), digest_size=8).digest()
        for url, caption in zip(urls, captions, strict=True)
    )
    return np.frombuffer(digest, ">u8").astype(np.uint64)


def glimpses(urls: pa.ChunkedArray, captions: pa.ChunkedArray) -> Hashes:
    """Return a weak hash of each URL and caption, by their ends and lengths alone: the same of equal pairs,
    mostly another of others. It takes a tenth of the time of `pair_hashes`.
    """
    mixed = np.zeros(len(urls), np.uint64)
    for texts, odd in ((urls, 0x9E3779B97F4A7C15), (captions, 0xC2B2AE3D27D4EB4F)):
        ends, lengths = _ends(texts.combine_chunks())
        mixed = (mixed ^ ends ^ (lengths << np.uint64(48))) * np.uint64(odd)
        mixed ^= mixed >> np.uint64(29)
    return mixed * np.uint64(0xD6E8FEB86659FD93)


def _ends(texts: pa.Array) -> tuple[Hashes, Hashes]:
    """Return the last 8 bytes of each text as a number, zeros before a shorter one, and how long it is."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    lengths = np.diff(offsets)
    back = np.arange(8, 0, -1)
    places = offsets[1:, None] - back
    data = np.frombuffer(texts.buffers()[2] or b"\0", np.uint8)
    last = np.where(back <= lengths[:, None], data[np.maximum(places, 0)], 0).astype(np.uint8)
    return last.view(np.uint64).ravel(), lengths.astype(np.uint64)
