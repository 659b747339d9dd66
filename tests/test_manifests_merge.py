"""Merged datasets against a loop with sets: what stays, why the rest does not, terms, counts and facts."""

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests import spill
from manifests.__main__ import main
from manifests.merge import merge
from manifests.merge.funnel import united_funnel
from manifests.merge.terms import Terms
from manifests.near_hashes import near_values
from manifests.schema import Manifest, StageCount
from manifests.store import open_dataset, record_file, write_manifest, write_table
from manifests.verify import verify
from tests.fakes import make_caption, make_dataset, make_picture, make_rejection
from tests.test_manifests_takedown import (
    DEEP,
    all_texts,
    files,
    publish_again,
    rejections_of,
    rewrite_facts,
    rows_of,
    take,
    with_fetch_times,
)

Row = dict[str, Any]


def small(root: Path, numbers: list[int], **given: Any) -> Path:
    """A dataset of the drawings of these numbers, with these captions, four to a shard."""
    captions = given.pop("captions", [make_caption(number) for number in numbers])
    pictures = [make_picture(number) for number in numbers]
    make_dataset(
        root,
        num_pairs=len(numbers),
        captions=captions,
        pictures=pictures,
        rejections=[make_rejection("timeout", stage="fetch", query_ids=[1, 2])],
        **given,
    )
    with_fetch_times(root)
    return root


def with_other_terms(root: Path, first: str) -> None:
    """Number the terms of a dataset in another way, with one more in front; by the slow obvious way."""
    dataset = open_dataset(root)
    queries = pq.read_table(root / "queries.parquet").to_pylist()
    extra = {**queries[0], "text": first, "num_matched": 7, "num_tried": 7, "num_kept": 0}
    rows = [row | {"query_id": number} for number, row in enumerate([extra, *queries])]
    write_table(root / "queries.parquet", pq.read_table(root / "queries.parquet").from_pylist(
        rows, pq.read_schema(root / "queries.parquet")))  # fmt: skip
    for folder in ("index", "rejections"):
        for path in (root / folder).glob("*.parquet"):
            table = pq.read_table(path)
            moved = [
                row | {"query_ids": row["query_ids"] and [number + 1 for number in row["query_ids"]]}
                for row in table.to_pylist()
            ]
            write_table(path, table.from_pylist(moved, table.schema))
    digest = hashlib.sha256("".join(f"{row['text']}\n" for row in rows).encode()).hexdigest()
    records = [record_file(root, root / file.path) for file in dataset.manifest.files]
    manifest = replace(dataset.manifest, num_queries=len(rows), queries_sha256=digest, files=tuple(records))
    write_manifest(root, manifest)
    publish_again(root)


def slow_merge(datasets: list[list[Row]], names: tuple[str, ...]) -> tuple[list[str], Counter[str]]:
    """Return the keys that stay and how many are dropped by each criterion."""
    of: dict[str, Any] = {
        "key": lambda row: row["key"],
        "pair": lambda row: (row["url"], row["caption"]),
        "sha256": lambda row: row["sha256"],
        "phash": lambda row: row["phash"],
    }
    left, dropped = datasets, Counter[str]()
    for name in names:
        seen = [{of[name](row) for row in rows} for rows in left]
        new = [
            [row for row in rows if not any(of[name](row) in before for before in seen[:place])]
            for place, rows in enumerate(left)
        ]
        dropped[name] += sum(map(len, left)) - sum(map(len, new))
        left = new
    return [row["key"] for rows in left for row in rows], dropped


def merged(out: Path, *sources: Path, flags: tuple[str, ...] = ()) -> Manifest:
    assert main(["merge", *map(str, sources), "--out", str(out), *flags]) == 0
    assert list(verify(out, DEEP)) == []
    return open_dataset(out).manifest


def test_of_copies_those_of_the_first_dataset_stay(tmp_path: Path) -> None:
    one = small(tmp_path / "one", list(range(10)))
    # Two with a key of the first, two pictures of the first with other captions, and four that are new.
    captions = [
        make_caption(8),
        make_caption(9),
        "a new caption",
        "another one",
        *map(make_caption, range(20, 24)),
    ]
    two = small(tmp_path / "two", [8, 9, 1, 2, 20, 21, 22, 23], captions=captions)
    before = files(one) | {f"two/{name}": digest for name, digest in files(two).items()}
    expected, dropped = slow_merge([rows_of(one), rows_of(two)], ("key", "pair", "sha256"))
    manifest = merged(tmp_path / "out", one, two)
    assert [row["key"] for row in rows_of(tmp_path / "out")] == expected
    assert dropped == {"key": 2, "pair": 0, "sha256": 2}
    assert manifest.funnel[-1].dropped == {"exact_duplicate": 4}
    assert manifest.num_pairs == len(expected) == 14
    assert files(one) | {f"two/{name}": digest for name, digest in files(two).items()} == before
    assert (tmp_path / "out/shards/00000.tar").samefile(one / "shards/00000.tar")


def test_dropped_pairs_name_the_pair_that_stays_and_why(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0, 1]), small(tmp_path / "two", [1, 2, 3])
    merged(tmp_path / "out", one, two)
    rows = [row for row in rejections_of(tmp_path / "out") if row["stage"] == "merge"]
    assert [(row["reason"], row["detail"], row["kept_key"], row["sha256"]) for row in rows] == [
        ("exact_duplicate", "the same picture and caption", rows_of(one)[1]["key"], rows_of(two)[0]["sha256"])
    ]
    samples = pq.read_table(tmp_path / "out/samples.parquet")
    assert samples["stage"].to_pylist().count("merge") == 1


def test_the_same_url_and_caption_with_other_bytes_is_a_copy(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0]), small(tmp_path / "two", [5], captions=[make_caption(0)])
    assert merged(tmp_path / "out", one, two).funnel[-1].dropped == {"duplicate_pair": 1}


@pytest.mark.parametrize(("distance", "kept"), [(0, 3), (1, 3), (2, 2)])
def test_looks_are_compared_within_the_distance_where_one_is_given(
    tmp_path: Path, distance: int, kept: int
) -> None:
    one, two = small(tmp_path / "one", [0]), small(tmp_path / "two", [1, 2], captions=["new", "other"])
    near = rows_of(one)[0]["phash"] ^ 0b101
    rewrite_facts(two, 0, phash=near)
    manifest = merged(tmp_path / "out", one, two, flags=("--max-distance", str(distance)))
    assert manifest.num_pairs == kept
    assert manifest.funnel[-1].dropped == ({"near_duplicate": 1} if kept == 2 else {})


def test_what_one_dataset_holds_twice_stays(tmp_path: Path) -> None:
    one = small(tmp_path / "one", [0, 0], captions=["first", "second"])
    two = small(tmp_path / "two", [7, 7, 0], captions=["third", "fourth", "fifth"])
    expected, _ = slow_merge([rows_of(one), rows_of(two)], ("key", "pair", "sha256"))
    merged(tmp_path / "out", one, two)
    assert [row["caption"] for row in rows_of(tmp_path / "out")] == ["first", "second", "third", "fourth"]
    assert [row["key"] for row in rows_of(tmp_path / "out")] == expected


def test_terms_are_united_and_renumbered_in_indexes_facts_and_rejections(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0, 1, 2, 3, 4]), small(tmp_path / "two", [3, 10, 11, 12, 13])
    with_other_terms(two, "drawing")
    texts = [pq.read_table(root / "queries.parquet")["text"].to_pylist() for root in (one, two)]
    said = {
        row["key"]: {texts[place][number] for number in row["query_ids"]}
        for place, root in enumerate((one, two))
        for row in rows_of(root)
    }
    manifest = merged(tmp_path / "out", one, two)
    united = pq.read_table(tmp_path / "out/queries.parquet").to_pylist()
    names = [row["text"] for row in united]
    assert names == [*texts[0], "drawing"]
    rows = rows_of(tmp_path / "out")
    assert {row["key"]: {names[number] for number in row["query_ids"]} for row in rows} == {
        row["key"]: said[row["key"]] for row in rows
    }
    kept = Counter(names[number] for row in rows for number in row["query_ids"])
    assert {row["text"]: row["num_kept"] for row in united} == {name: kept[name] for name in names}
    assert manifest.num_queries == len(names)
    tried = [row for row in rejections_of(tmp_path / "out") if row["reason"] == "timeout"]
    assert [row["query_ids"] for row in tried] == [[1, 2], [1, 2]]


def test_facts_beside_the_pictures_have_the_new_numbers(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0, 1]), small(tmp_path / "two", [10, 11])
    with_other_terms(two, "drawing")
    old = rows_of(two)[0]["query_ids"]
    rewrite_facts(two, 0, query_ids=old)
    merged(tmp_path / "out", one, two)
    row = next(row for row in rows_of(tmp_path / "out") if row["key"] == rows_of(two)[0]["key"])
    facts = next(
        json.loads(data) for name, data in all_texts(tmp_path / "out") if name == f"{row['key']}.json"
    )
    assert facts["query_ids"] == row["query_ids"] == [number - 1 for number in old]
    opened = open_dataset(tmp_path / "out")
    pictures = [
        opened.read_picture(shard, row)
        for shard in opened.manifest.shards
        for row in opened.read_index(shard).to_pylist()
    ]
    assert pictures == [make_picture(number) for number in (0, 1, 10, 11)]


def test_each_dataset_is_told_of_and_fetch_times_go_along(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0, 1]), small(tmp_path / "two", [10, 11], name="other")
    manifest = merged(tmp_path / "out", one, two)
    assert [told["name"] for told in manifest.config["merged"]] == ["shapes", "other"]
    assert [source["num_pairs"] for source in manifest.history[-1].request["sources"]] == [2, 2]
    assert len(list((tmp_path / "out/fetch_times").iterdir())) == len(manifest.shards) == 2


def test_what_one_dataset_has_taken_down_does_not_come_in_by_another(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", [0, 1, 2]), small(tmp_path / "two", [2, 10, 11])
    row = rows_of(one)[2]
    take(one, url=row["url"])
    manifest = merged(tmp_path / "out", one, two)
    # The fakes' URLs follow their places: the third of the other dataset has the URL that was taken down.
    assert manifest.funnel[-1].dropped == {"taken_down": 2}
    assert [row["caption"] for row in rows_of(tmp_path / "out")] == [make_caption(n) for n in (0, 1, 10)]
    assert (tmp_path / "out/do_not_fetch.txt").read_bytes() == (one / "do_not_fetch.txt").read_bytes()


def test_a_merge_that_was_cut_short_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    one, two = small(tmp_path / "one", list(range(6))), small(tmp_path / "two", [3, 10, 11, 12, 13])
    with_other_terms(two, "drawing")
    whole = merged(tmp_path / "whole/out", one, two)
    merged(tmp_path / "cut/out", one, two)
    for name in ("manifest.json", "shards/00002.tar", "index/00002.parquet", "index/00000.parquet"):
        (tmp_path / "cut/out" / name).unlink()
    assert merged(tmp_path / "cut/out", one, two).content_hash == whole.content_hash
    assert main(["merge", str(two), str(one), "--out", str(tmp_path / "cut/out")]) == 2


def test_many_ranges_find_the_same_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = small(tmp_path / "one", list(range(12))), small(tmp_path / "two", list(range(6, 18)))
    whole = merged(tmp_path / "whole/out", one, two)
    monkeypatch.setattr(spill, "PER_RANGE", 2)
    assert merge([open_dataset(one), open_dataset(two)], tmp_path / "out").content_hash == whole.content_hash


def test_funnels_are_summed_stage_by_stage() -> None:
    def funnel(*stages: tuple[str, int, int]) -> list[StageCount]:
        return [
            StageCount(stage=name, num_in=num_in, num_out=num_out, dropped={"x": num_in - num_out})
            for name, num_in, num_out in stages
        ]

    one = funnel(("crawl", 10, 9), ("fetch", 9, 5), ("dedup", 5, 4))
    two = funnel(("crawl", 7, 7), ("fetch", 7, 6), ("score", 6, 4), ("dedup", 4, 4), ("takedown", 4, 3))
    assert [(stage.stage, stage.num_in, stage.num_out) for stage in united_funnel([one, two])] == [
        ("crawl", 17, 16), ("fetch", 16, 11), ("score", 11, 9), ("dedup", 9, 8), ("takedown", 8, 7)
    ]  # fmt: skip


@given(st.lists(st.lists(st.sampled_from("abcdef"), unique=True), min_size=1, max_size=4))
def test_every_term_has_one_number_and_every_number_its_term(lists: list[list[str]]) -> None:
    terms = Terms.united(lists)
    assert len(set(terms.texts)) == len(terms.texts)
    for texts, numbers in zip(lists, terms.numbers, strict=True):
        assert [terms.texts[number] for number in numbers] == texts
    assert terms.stay(0)


@given(st.lists(st.integers(0, 2**12 - 1), unique=True, max_size=40), st.integers(0, 5))
def test_near_hashes_are_those_of_the_slow_version(values: list[int], distance: int) -> None:
    hashes = np.array([value * 0x10010010010 for value in values], dtype=np.uint64)
    found = {tuple(pair) for pair in near_values(hashes, distance).tolist()}
    slow = {
        (a, b)
        for a, b in itertools.combinations(range(len(values)), 2)
        if int(hashes[a] ^ hashes[b]).bit_count() <= distance
    }
    assert found == slow


@pytest.mark.parametrize(
    ("names", "flags", "message"),
    [
        (["one"], [], "merge takes two datasets or more"),
        (["one", "two"], ["--max-distance", "17"], "max-distance is 17, of 64 bits: give 0 to 16"),
        (["one", "missing"], [], "missing holds no manifest.json"),
    ],
)
def test_a_wrong_request_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], names: list[str], flags: list[str], message: str
) -> None:
    small(tmp_path / "one", [0, 1])
    small(tmp_path / "two", [2, 3])
    places = [str(tmp_path / name) for name in names]
    assert main(["merge", *places, "--out", str(tmp_path / "out"), *flags]) == 2
    assert message in capsys.readouterr().err
