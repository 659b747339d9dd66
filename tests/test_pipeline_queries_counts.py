"""Counting in bounded memory against two Counters that hold everything."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.sampling import priority
from filters.words import words_of
from manifests.store import write_table
from pipeline.queries.bigrams import Limits, highest_pmi, merge_bigrams
from pipeline.queries.counts import WordCounter
from pipeline.queries.runs import BucketRange, bucket_ranges, read_buckets
from pipeline.queries.words import WORD_SCHEMA, WordCounts, merge_words, words_by_hash

TEXTS = st.lists(st.text(alphabet="ab é'紅\n-", max_size=40), max_size=8)


def slow_counts(texts: list[str]) -> tuple[Counter[str], Counter[tuple[str, str]]]:
    words, bigrams = Counter[str](), Counter[tuple[str, str]]()
    for text in texts:
        for line in text.splitlines():
            words.update(words_of(line).split())
            bigrams.update(pairwise(words_of(line).split()))
    return words, bigrams


def fast_runs(texts: list[str], max_words: int, max_bigrams: int) -> tuple[list[pa.Table], list[pa.Table]]:
    counter, runs = WordCounter(max_words, max_bigrams), []
    for text in texts:
        counter.add(text)
        if counter.full:
            runs.append(counter.drain())
    runs.append(counter.drain())
    return [words for words, _ in runs], [bigrams for _, bigrams in runs]


@given(TEXTS, st.integers(1, 6), st.integers(1, 6))
def test_runs_add_up_to_the_counts_however_often_they_are_drained(
    texts: list[str], max_words: int, max_bigrams: int
) -> None:
    words, bigrams = Counter[str](), Counter[tuple[str, str]]()
    word_runs, bigram_runs = fast_runs(texts, max_words, max_bigrams)
    name = {row["word_hash"]: row["word"] for run in word_runs for row in run.to_pylist()}
    for row in pa.concat_tables(word_runs).to_pylist():
        words[row["word"]] += row["count"]
    for row in pa.concat_tables(bigram_runs).to_pylist():
        bigrams[name[row["first"]], name[row["second"]]] += row["count"]
    assert (words, bigrams) == slow_counts(texts)


def write_runs(folder: Path, texts: list[str], max_bigrams: int) -> tuple[list[Path], list[Path]]:
    folds = fast_runs(texts, 1_000, max_bigrams)
    paths = [
        [folder / f"{number}.{kind}.run" for number in range(len(runs))]
        for kind, runs in zip("wb", folds, strict=True)
    ]
    for kind, runs in zip(paths, folds, strict=True):
        for path, run in zip(kind, runs, strict=True):
            write_table(path, run)
    return paths[0], paths[1]


CORPUS = [
    f"the cat sat on the mat number {number % 7}\nthe dog ran, number {number % 5}" for number in range(60)
]


@pytest.mark.parametrize("rows_per_merge", [1, 7, 1_000])
def test_merged_ranges_hold_every_count_and_nltk_s_mutual_information(
    rows_per_merge: int, tmp_path: Path
) -> None:
    words, bigrams = slow_counts(CORPUS)
    word_runs, bigram_runs = write_runs(tmp_path, CORPUS, max_bigrams=9)
    merged = pa.concat_tables(
        [merge_words(word_runs, span, min_count=2) for span in bucket_ranges(word_runs, rows_per_merge)]
    )
    assert {row["word"]: row["count"] for row in merged.to_pylist()} == {
        w: n for w, n in words.items() if n >= 2
    }
    write_table(tmp_path / "words.parquet", merged)
    known, limits = [tmp_path / "words.parquet"], Limits(min_count=10, min_pmi=1.5)
    spans = bucket_ranges(bigram_runs, rows_per_merge)
    tables = [merge_bigrams(bigram_runs, span, known, words.total(), limits) for span in spans]
    found = {
        (row["first"], row["second"]): (row["count"], row["pmi"]) for t in tables for row in t.to_pylist()
    }
    expected = {}
    for (one, two), count in bigrams.items():
        pmi = math.log2(count * words.total()) - math.log2(words[one] * words[two])  # NLTK: pmi
        if count >= 10 and pmi >= 1.5:
            expected[priority(one), priority(two)] = (count, pytest.approx(pmi, abs=1e-12))
    assert found == expected
    assert 3 < len(found) < len(bigrams)


def test_ranges_cover_every_bucket_once_and_read_only_their_own(tmp_path: Path) -> None:
    word_runs, _ = write_runs(tmp_path, CORPUS, max_bigrams=9)
    spans = bucket_ranges(word_runs, rows_per_merge=10)
    assert [span.first for span in spans[1:]] == [span.last + 1 for span in spans[:-1]]
    assert (spans[0].first, spans[-1].last) == (0, 65_535)
    schema = pa.schema([("bucket", pa.uint16()), *WORD_SCHEMA])
    rows = [read_buckets(word_runs, span, schema) for span in spans]
    assert sum(map(len, rows)) == len(read_buckets(word_runs, BucketRange(0, 65_535), schema))


def test_words_are_found_by_their_hashes(tmp_path: Path) -> None:
    word_runs, _ = write_runs(tmp_path, CORPUS, max_bigrams=9)
    path = tmp_path / "words.parquet"
    write_table(path, merge_words(word_runs, BucketRange(0, 65_535), min_count=1))
    hashes = pa.array([priority("cat"), priority("dog")], type=pa.uint64()).to_numpy()
    assert words_by_hash([path], hashes) == {priority("cat"): "cat", priority("dog"): "dog"}
    assert WordCounts([path]).of(hashes).tolist() == [60, 60]


def test_no_bigram_has_more_bits_than_its_count_allows() -> None:
    assert highest_pmi(count=2, num_words=2**31) == 30.0
