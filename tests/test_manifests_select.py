"""Some of a dataset's pairs as a new dataset: whole, its bytes as they were, the old one untouched."""

import hashlib
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.counts import Tally, hits
from manifests.schema import INDEX_SCHEMA, Change, Manifest
from manifests.select import Judged, write_selection
from manifests.store import Dataset, open_dataset
from manifests.verify import verify
from tests.fakes import make_dataset, make_picture, make_rejection

PAIRS_PER_SHARD = 4


@pytest.fixture
def source(tmp_path: Path) -> Dataset:
    root = make_dataset(tmp_path / "old", num_pairs=12, rejections=[make_rejection("image_too_small")])
    return open_dataset(root)


def judged(source: Dataset, dropped: Sequence[int]) -> Iterator[Judged]:
    for number, shard in enumerate(source.manifest.shards):
        places = range(number * PAIRS_PER_SHARD, (number + 1) * PAIRS_PER_SHARD)
        details = [f"row {place}" if place in dropped else None for place in places]
        yield Judged(shard=shard, details=details)


def select(source: Dataset, out: Path, dropped: Sequence[int]) -> Manifest:
    change = Change(kind="test", request={}, num_tried=12, num_gained=0, dropped={})
    return write_selection(source, judged(source, dropped), out, "choice", "not_chosen", change)


def files(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def members(root: Path) -> dict[str, bytes]:
    """Every member of every tar, as Python's own reader has it."""
    found: dict[str, bytes] = {}
    for path in sorted((root / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            found |= {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize(
    "dropped", [[], [0], [11], [1, 2], [4, 5, 6, 7], [0, 1, 2, 3, 5, 10], range(11), range(12)], ids=str
)
def test_what_is_kept_is_as_it_was_and_the_rest_is_counted(
    source: Dataset, tmp_path: Path, dropped: Sequence[int]
) -> None:
    before = files(source.root)
    manifest = select(source, tmp_path / "new", dropped)
    rows = [row for shard in source.manifest.shards for row in source.read_index(shard).to_pylist()]
    kept = {row["key"] for number, row in enumerate(rows) if number not in dropped}
    assert list(verify(tmp_path / "new")) == []
    assert files(source.root) == before
    old = members(source.root)
    assert members(tmp_path / "new") == {name: old[name] for name in old if name.partition(".")[0] in kept}
    assert [stage.num_out for stage in manifest.funnel] == [12, 12 - len(dropped)]
    assert [shard.tar.path for shard in manifest.shards] == [
        f"shards/{number:05d}.tar" for number in range(len(manifest.shards))
    ]
    assert all(shard.num_pairs for shard in manifest.shards)


def test_pictures_lie_where_the_new_index_says(source: Dataset, tmp_path: Path) -> None:
    select(source, tmp_path / "new", [0, 5, 6])
    new = open_dataset(tmp_path / "new")
    found = {
        row["caption"]: new.read_picture(shard, row)
        for shard in new.manifest.shards
        for row in new.read_index(shard).to_pylist()
    }
    assert len(found) == 9
    assert all(found[name] == make_picture(int(name.split()[-1])) for name in found)


def test_rejections_and_counts_of_terms_follow(source: Dataset, tmp_path: Path) -> None:
    manifest = select(source, tmp_path / "new", [0, 5])
    tables = sorted((tmp_path / "new" / "rejections").glob("*"))
    rows = [row for path in tables for row in pq.read_table(path).to_pylist()]
    assert Counter(row["reason"] for row in rows) == {"image_too_small": 1, "not_chosen": 2}
    assert [row["detail"] for row in rows][1:] == ["row 0", "row 5"]
    assert manifest.history[-1].num_gained == 10
    assert manifest.history[-1].dropped == {"not_chosen": 2}
    old, new = (
        {row["text"]: row["num_kept"] for row in pq.read_table(root / "queries.parquet").to_pylist()}
        for root in (source.root, tmp_path / "new")
    )
    changed = {text: old[text] - new[text] for text in old if old[text] != new[text]}
    assert changed == {"red": 1, "orange": 1, "square": 2}


def test_a_selection_that_was_cut_short_goes_on_to_the_same_bytes(source: Dataset, tmp_path: Path) -> None:
    whole, cut = tmp_path / "new", tmp_path / "cut" / "new"
    select(source, whole, [1, 9])

    def breaks_off() -> Iterator[Judged]:
        yield from list(judged(source, [1, 9]))[:2]
        raise KeyboardInterrupt

    change = Change(kind="test", request={}, num_tried=12, num_gained=0, dropped={})
    with pytest.raises(KeyboardInterrupt):
        write_selection(source, breaks_off(), cut, "choice", "not_chosen", change)
    assert not (cut / "manifest.json").exists()
    (cut / "shards" / ".00001.tar.1.tmp").write_bytes(b"of a killed run")
    before = (cut / "index" / "00000.parquet").stat().st_mtime_ns
    select(source, cut, [1, 9])
    assert (cut / "index" / "00000.parquet").stat().st_mtime_ns == before
    assert list(verify(cut)) == []
    same = {"manifest.json", "report.html"}  # but for the time
    assert {k: v for k, v in files(cut).items() if k not in same} == {
        k: v for k, v in files(whole).items() if k not in same
    }


def test_a_tally_of_many_tables_is_the_hits_of_all_their_rows() -> None:
    rows = [
        {"query_ids": ids, "source": source}
        for ids, source in (
            ([3, 1], "table"),
            ([], "table"),
            (None, "commons"),
            ([1], "commons"),
            ([9, 1], "table"),
        )
    ]
    tally, schema = Tally(), pa.schema([INDEX_SCHEMA.field("query_ids"), INDEX_SCHEMA.field("source")])
    for part in (rows[:2], rows[2:4], rows[4:], []):
        tally.add(pa.Table.from_pylist(part, schema=schema))
    assert tally.counter() == hits(pa.Table.from_pylist(rows, schema=schema))
