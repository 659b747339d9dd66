"""Which terms are in the list: words, then bigrams, then titles, then synset names that are not yet in it."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa

from filters.words import words_of

LIST_SCHEMA = pa.schema(
    [
        ("query_id", pa.int32()),
        ("text", pa.string()),
        ("origin", pa.string()),  # word / bigram / title / synset
        ("count", pa.int64()),  # of a word or a bigram in the corpus
        ("pmi", pa.float64()),  # of a bigram, in bits
        ("views", pa.int64()),  # of a title's article
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A term of the list with the figure that brought it in."""

    text: str
    origin: str
    count: int | None = None
    pmi: float | None = None
    views: int | None = None

    @property
    def figure(self) -> float:
        """What its origin goes by."""
        return {"word": self.count, "bigram": self.pmi, "title": self.views}[self.origin] or 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """What an origin offers: its entries, highest figure first, all at or above the asked threshold."""

    origin: str
    threshold: float | None
    num_offered: int
    entries: Iterable[Entry]


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginCount:
    """What an origin gave. `threshold` is the one in force: as asked, higher where the size implies it, None
    for synsets, which have none, and where nothing was let in."""

    origin: str
    asked: float | None
    threshold: float | None
    num_offered: int
    num_added: int


def choose(
    ranked: Sequence[Ranked], synsets: Sequence[str], size: int | None
) -> tuple[list[Entry], list[OriginCount]]:
    """Return the list, no two of its terms of the same words, and what each origin gave.

    Synset names are always in. Where all would be more than `size`, the figure at which the room ends is the
    threshold of its origin: entries of equal figure are all in or all out, and later origins get nothing.
    Raises ValueError where the synset names alone are more than `size`.
    """
    names = _by_words(synsets)
    room = math.inf if size is None else size - len(names)
    if room < 0:
        raise ValueError(
            f"size {size:,} is less than the {len(names):,} synset names: raise it, or leave out --wordnet"
        )
    chosen: dict[str, Entry] = {}
    counts: list[OriginCount] = []
    full = False
    for offer in ranked:
        before = len(chosen)
        threshold = None if full else offer.threshold
        lowest: float | None = None
        for figure, fresh in () if full else _by_figure(offer.entries, chosen):
            cost = sum(words not in names for words in fresh)
            if cost > room:
                full, threshold = True, lowest
                break
            room, lowest = room - cost, figure
            chosen |= fresh
        counts.append(_count(offer, threshold, len(chosen) - before))
    rest = [Entry(text=name, origin="synset") for words, name in names.items() if words not in chosen]
    offer = Ranked(origin="synset", threshold=None, num_offered=len(names), entries=())
    return [*chosen.values(), *rest], [*counts, _count(offer, None, len(rest))]


def _by_words(texts: Iterable[str]) -> dict[str, str]:
    """Return the first text of each words; texts without any are left out."""
    first: dict[str, str] = {}
    for text in texts:
        if words := words_of(text):
            first.setdefault(words, text)
    return first


def _by_figure(
    entries: Iterable[Entry], chosen: dict[str, Entry]
) -> Iterator[tuple[float, dict[str, Entry]]]:
    """Yield (figure, entries by their words) for entries of equal figure whose words are not chosen yet."""
    for figure, group in groupby(entries, key=lambda entry: entry.figure):
        fresh: dict[str, Entry] = {}
        for entry in group:
            words = words_of(entry.text)
            if words and words not in chosen:
                fresh.setdefault(words, entry)
        yield figure, fresh


def _count(offer: Ranked, threshold: float | None, num_added: int) -> OriginCount:
    return OriginCount(
        origin=offer.origin,
        asked=offer.threshold,
        threshold=threshold,
        num_offered=offer.num_offered,
        num_added=num_added,
    )


def list_table(entries: Sequence[Entry]) -> pa.Table:
    """Return the list numbered, as LIST_SCHEMA."""
    columns = [[getattr(entry, name) for entry in entries] for name in LIST_SCHEMA.names[1:]]
    return pa.table([range(len(entries)), *columns], schema=LIST_SCHEMA)
