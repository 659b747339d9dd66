"""Captions at too many addresses: counted over all parts, dropped from each, told once."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from filters.words import words_of
from manifests.store import write_table
from pipeline.common import DropCommonCaptions
from pipeline.config import BuildConfig
from pipeline.parts import Part, parts_in, rejection_files
from pipeline.runners import run

PARTS = {
    "00000": ["Buy now", "a red umbrella", "buy NOW!", "a cat"],
    "00001": ["buy now", "a cat", "two cats"],
    "00002": ["a dog on a sofa"],
}


def write_parts(folder: Path) -> None:
    for name, captions in PARTS.items():
        rows = [
            {"url": f"http://a.test/{name}/{n}", "caption": caption, "source": "t"}
            for n, caption in enumerate(captions)
        ]
        write_table(folder / f"{name}.parquet", pa.Table.from_pylist(rows))


class Dropped(beam.PTransform):
    def __init__(self, folder: Path, max_urls: int, before: Sequence[Part] = ()) -> None:
        super().__init__()
        self.folder, self.max_urls, self.before = folder, max_urls, before

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection:
        names = begin | beam.Create(list(PARTS))
        return names | DropCommonCaptions(self.folder, self.max_urls, "distinct", 2, self.before)


def left(folder: Path) -> Counter[str]:
    captions = [caption for part in parts_in(folder) for caption in part.rows()["caption"].to_pylist()]
    return Counter(map(words_of, captions))


def test_captions_of_an_earlier_build_count_and_stay(tmp_path: Path) -> None:
    write_parts(tmp_path / "new")
    rows = [{"url": f"http://a.test/old/{n}", "caption": "Two Cats", "source": "t"} for n in range(3)]
    earlier = Part(tmp_path / "old", "00000")
    write_table(earlier.path, pa.Table.from_pylist(rows))
    run(Dropped(tmp_path / "new", 3, [earlier]), 1)
    assert left(tmp_path / "new")["two cats"] == 0
    assert left(tmp_path / "new").total() == sum(map(len, PARTS.values())) - 1
    assert earlier.num_rows() == 3


LIMITS = [(1, {"buy now": 3, "a cat": 2}), (2, {"buy now": 3}), (3, {})]


@pytest.mark.parametrize(("max_urls", "gone"), LIMITS)
def test_a_caption_at_more_urls_is_dropped_everywhere(
    tmp_path: Path, max_urls: int, gone: dict[str, int]
) -> None:
    write_parts(tmp_path)
    run(Dropped(tmp_path, max_urls), 1)
    every = Counter(words_of(caption) for captions in PARTS.values() for caption in captions)
    assert left(tmp_path) == every - Counter(gone)
    assert sum(pq.read_metadata(path).num_rows for path in rejection_files(tmp_path)) == sum(gone.values())


def test_the_reason_says_at_how_many_urls_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    write_parts(tmp_path)
    run(Dropped(tmp_path, 2), 1)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run(Dropped(tmp_path, 2), 1)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    rows = [row for path in rejection_files(tmp_path) for row in pq.read_table(path).to_pylist()]
    told = {(row["stage"], row["reason"], row["detail"]) for row in rows}
    assert told == {("distinct", "caption_common", "stands at 3 URLs > 2")}
    assert len(rows) == 3


def test_a_limit_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max-urls-per-caption must be >= 1, or None"):
        BuildConfig(max_urls_per_caption=0)


def test_captions_of_local_pictures_are_their_owners_choice(tmp_path: Path) -> None:
    captions = ["a photo of a cat."] * 5
    urls = ["http://a.test/1", *(f"folder:0/cat/{number}.jpg" for number in range(4))]
    rows = [{"url": url, "caption": text, "source": "t"} for url, text in zip(urls, captions, strict=True)]
    for name in PARTS:
        write_table(tmp_path / f"{name}.parquet", pa.Table.from_pylist(rows))
    run(Dropped(tmp_path, max_urls=2), 1)
    assert left(tmp_path) == {"a photo of a cat": 12}
