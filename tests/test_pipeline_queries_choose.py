"""Which terms are in the list, and which threshold its size implies."""

import pytest

from pipeline.queries.choose import Entry, OriginCount, Ranked, choose, list_table

WORDS = [("the", 9), ("dog", 5), ("cat", 5), ("owl", 3)]
BIGRAMS = [("red dog", 8.5), ("guide dog", 7.5)]
TITLES = [("Dog", 90), ("Ada Lovelace", 80), ("Red-Dog", 80), ("!!!", 75), ("Owls", 70)]
SYNSETS = ["entity", "guide dog", "Entity", "owl"]


def offers() -> list[Ranked]:
    return [
        Ranked(
            origin="word",
            threshold=3,
            num_offered=4,
            entries=[Entry(text=t, origin="word", count=n) for t, n in WORDS],
        ),
        Ranked(
            origin="bigram",
            threshold=7,
            num_offered=2,
            entries=[Entry(text=t, origin="bigram", count=1, pmi=n) for t, n in BIGRAMS],
        ),
        Ranked(
            origin="title",
            threshold=70,
            num_offered=5,
            entries=[Entry(text=t, origin="title", views=n) for t, n in TITLES],
        ),
    ]


def outcome(size: int | None) -> tuple[list[str], list[tuple[str, float | None, int]]]:
    entries, counts = choose(offers(), SYNSETS, size)
    assert size is None or len(entries) <= size
    return [entry.text for entry in entries], [(c.origin, c.threshold, c.num_added) for c in counts]


def test_each_term_is_in_once_under_its_first_origin() -> None:
    texts, counts = outcome(None)
    assert texts == ["the", "dog", "cat", "owl", "red dog", "guide dog", "Ada Lovelace", "Owls", "entity"]
    assert counts == [("word", 3, 4), ("bigram", 7, 2), ("title", 70, 2), ("synset", None, 1)]


# Three synset names are always in ("entity", "guide dog", "owl"); each further term takes room.
SIZES = [
    (9, [("word", 3, 4), ("bigram", 7, 2), ("title", 70, 2), ("synset", None, 1)]),
    (8, [("word", 3, 4), ("bigram", 7, 2), ("title", 75, 1), ("synset", None, 1)]),
    (7, [("word", 3, 4), ("bigram", 7, 2), ("title", 90, 0), ("synset", None, 1)]),
    (6, [("word", 3, 4), ("bigram", None, 0), ("title", None, 0), ("synset", None, 2)]),
    (5, [("word", 9, 1), ("bigram", None, 0), ("title", None, 0), ("synset", None, 3)]),
    (3, [("word", None, 0), ("bigram", None, 0), ("title", None, 0), ("synset", None, 3)]),
]


@pytest.mark.parametrize(("size", "expected"), SIZES)
def test_a_size_raises_the_last_threshold_first_and_splits_no_tie(
    size: int, expected: list[tuple[str, float | None, int]]
) -> None:
    assert outcome(size)[1] == expected


def test_a_size_below_the_synset_names_is_refused() -> None:
    with pytest.raises(ValueError, match="size 2 is less than the 3 synset names"):
        choose(offers(), SYNSETS, 2)


def test_the_table_is_numbered_and_carries_each_figure() -> None:
    entries, counts = choose(offers(), [], None)
    rows = list_table(entries).to_pylist()
    assert [row["query_id"] for row in rows] == list(range(len(entries)))
    assert rows[4] == {
        "query_id": 4,
        "text": "red dog",
        "origin": "bigram",
        "count": 1,
        "pmi": 8.5,
        "views": None,
    }
    assert counts[0] == OriginCount(origin="word", asked=3, threshold=3, num_offered=4, num_added=4)
