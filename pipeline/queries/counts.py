"""Counting words and bigrams of any amount of text in bounded memory."""

from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.sampling import priority
from filters.words import words_of

Int64s = npt.NDArray[np.int64]

# A word is known by a 64-bit hash, so that bigrams are pairs of numbers; that no two words share one is
# checked where all of them are merged (`words.merge_words`). Rows are in the order of `bucket`.
WORD_RUN = pa.schema(
    [("bucket", pa.uint16()), ("word_hash", pa.uint64()), ("word", pa.string()), ("count", pa.int64())]
)
BIGRAM_RUN = pa.schema(
    [("bucket", pa.uint16()), ("first", pa.uint64()), ("second", pa.uint64()), ("count", pa.int64())]
)
POSSESSIVE = "'s"  # a word to `words_of`, so that "queen" is found in "queen's"; not to a person
LINE_END = -1
MAX_WORDS, MAX_BIGRAMS, WORDS_PER_FOLD = 1_000_000, 4_000_000, 1_000_000


class _Numbers(dict[str, int]):
    """Numbers words as they come."""

    def __missing__(self, word: str) -> int:
        self[word] = len(self)
        return self[word]


class WordCounter:
    """Counts the words of texts, and the bigrams within each of their lines.

    Words are those of `words_of`, as captions and queries are cut. When it is `full`, `drain` it.
    """

    def __init__(self, max_words: int = MAX_WORDS, max_bigrams: int = MAX_BIGRAMS) -> None:
        self._max_words, self._max_bigrams = max_words, max_bigrams
        self.num_words = 0
        self._clear()

    def _clear(self) -> None:
        self._numbers = _Numbers()
        self._recent: list[int] = []  # words by number, not folded in yet, LINE_END between lines
        self._word_counts = np.zeros(0, dtype=np.int64)
        self._bigrams = np.zeros(0, dtype=np.int64)  # first << 32 | second, rising
        self._bigram_counts = np.zeros(0, dtype=np.int64)

    def add(self, text: str) -> None:
        """Count a text."""
        for line in text.splitlines():
            if words := words_of(line).split():
                self._recent += chain(map(self._numbers.__getitem__, words), (LINE_END,))
                self.num_words += len(words)
        if len(self._recent) >= WORDS_PER_FOLD:
            self._fold()

    @property
    def full(self) -> bool:
        """Is it time to drain?"""
        return len(self._bigrams) >= self._max_bigrams or len(self._numbers) >= self._max_words

    def drain(self) -> tuple[pa.Table, pa.Table]:
        """Return a run of words (WORD_RUN) and one of bigrams (BIGRAM_RUN), and begin anew."""
        self._fold()
        hashes = np.array([priority(word) for word in self._numbers], dtype=np.uint64)
        order = np.argsort(hashes)
        words = pa.array(list(self._numbers), type=pa.string()).take(pa.array(order))
        word_run = pa.table(
            [bucket_of(hashes[order]), hashes[order], words, self._word_counts[order]], schema=WORD_RUN
        )
        first, second = hashes[self._bigrams >> 32], hashes[self._bigrams & 0xFFFFFFFF]
        buckets = bucket_of(first, second)
        order = np.argsort(buckets, kind="stable")
        columns = [buckets[order], first[order], second[order], self._bigram_counts[order]]
        self._clear()
        return word_run, pa.table(columns, schema=BIGRAM_RUN)

    def _fold(self) -> None:
        recent = np.array(self._recent, dtype=np.int64)
        self._recent = []
        counts = np.bincount(recent[recent >= 0], minlength=len(self._numbers))
        counts[: len(self._word_counts)] += self._word_counts
        self._word_counts = counts
        first, second = recent[:-1], recent[1:]
        within = (first >= 0) & (second >= 0)
        fresh, fresh_counts = np.unique(first[within] << 32 | second[within], return_counts=True)
        self._bigrams, self._bigram_counts = add_up(
            np.concatenate([self._bigrams, fresh]), np.concatenate([self._bigram_counts, fresh_counts])
        )


def add_up(keys: Int64s, counts: Int64s) -> tuple[Int64s, Int64s]:
    """Return the distinct keys, rising, and the sum of each one's counts."""
    order = np.argsort(keys, kind="stable")  # a merge, where the keys are two rising runs
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.diff(keys, prepend=-1))
    return keys[starts], np.add.reduceat(counts, starts) if len(starts) else counts


def bucket_of(
    first: npt.NDArray[np.uint64], second: npt.NDArray[np.uint64] | None = None
) -> npt.NDArray[np.uint16]:
    """Return one of 65,536 buckets for each hash, or pair of hashes: what runs are ordered and cut by.

    A pair's depends on both, else the bigrams that begin with "the" would all lie in one.
    """
    mixed = first if second is None else first * np.uint64(31) + second
    return (mixed >> np.uint64(48)).astype(np.uint16)
