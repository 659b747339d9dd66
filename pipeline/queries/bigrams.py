"""Bigrams of a corpus: partial counts added up, and their pointwise mutual information."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from filters.words import words_of
from pipeline.queries.counts import BIGRAM_RUN
from pipeline.queries.runs import BucketRange, read_buckets
from pipeline.queries.words import WordCounts

BIGRAM_SCHEMA = pa.schema(
    [("first", pa.uint64()), ("second", pa.uint64()), ("count", pa.int64()), ("pmi", pa.float64())]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Which bigrams are terms."""

    min_count: int
    min_pmi: float


Floats = npt.NDArray[np.float64]


def mutual_information(
    count: npt.NDArray[np.int64],
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
    num_words: int,
) -> Floats:
    """Return float64 (N,), log2(p(xy) / (p(x) p(y))) in bits, as NLTK and MetaCLIP have it.

    All probabilities are counts over `num_words`, the words of the corpus, as NLTK has it.
    """
    joint = count.astype(np.float64) * num_words
    result: Floats = np.log2(joint) - np.log2(first.astype(np.float64) * second)
    return result


def highest_pmi(count: int, num_words: int) -> float:
    """Return the most that a bigram seen `count` times can have: its words occur nowhere else."""
    return float(np.log2(max(num_words, 1) / count))


def merge_bigrams(
    runs: Sequence[Path],
    buckets: BucketRange,
    words: Sequence[Path],
    num_words: int,
    limits: Limits,
) -> pa.Table:
    """Return the bigrams of these buckets that reach both limits (BIGRAM_SCHEMA).

    `words` are the merged words (`words.WORD_SCHEMA`), `num_words` is how many the corpus has in all.
    """
    rows = read_buckets(runs, buckets, BIGRAM_RUN)
    first, second, counts = (rows[name].to_numpy() for name in ("first", "second", "count"))
    order = np.lexsort((second, first))
    first, second, counts = first[order], second[order], counts[order]
    differs = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    starts = np.flatnonzero(np.concatenate([[len(first) > 0], differs]))
    totals = np.add.reduceat(counts, starts) if len(starts) else counts
    seen = totals >= limits.min_count
    first, second, totals = first[starts][seen], second[starts][seen], totals[seen]
    known = WordCounts(words)
    pmi = mutual_information(totals, known.of(first), known.of(second), num_words)
    high = pmi >= limits.min_pmi
    return pa.table([first[high], second[high], totals[high], pmi[high]], schema=BIGRAM_SCHEMA)


def join_words(first: str, second: str) -> str:
    """Return two words as a person writes them: apart, except where that is not how they were cut.

    >>> join_words("red", "umbrella"), join_words("紅", "傘"), join_words("queen", "'s")
    ('red umbrella', '紅傘', "queen's")
    """
    together = first + second
    return together if words_of(together) == f"{first} {second}" else f"{first} {second}"
