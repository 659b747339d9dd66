"""Large datasets: which shards are read, what the page says of it, how large it can become."""

import io
import random
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from manifests.report import write_report
from manifests.report.data import collect_pairs
from manifests.report.sampling import read_shown, sample_shards
from manifests.schema import FileRecord, Manifest, Shard
from manifests.store import open_dataset, read_manifest, write_table
from tests.fakes import make_dataset, make_rejection


def _manifest(sizes: list[int]) -> Manifest:
    files = [FileRecord(path=f"{number}", num_bytes=1, sha256="") for number in range(len(sizes))]
    shards = tuple(
        Shard(tar=file, index=file, num_pairs=size) for file, size in zip(files, sizes, strict=True)
    )
    return Manifest(
        name="",
        created_at="",
        code_version="",
        config={},
        num_pairs=sum(sizes),
        num_queries=0,
        queries_sha256="",
        funnel=(),
        shards=shards,
        files=(),
        content_hash="",
    )


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(1, 2000))
def test_a_sample_is_all_or_shards_at_equal_distances(sizes: list[int], max_pairs: int) -> None:
    sample = sample_shards(_manifest(sizes), max_pairs)
    places = [int(shard.tar.path) for shard in sample.shards]
    assert sample.is_whole == (not sample.basis)
    if sum(sizes) <= max_pairs:
        assert places == [*range(len(sizes))]
    assert places == sorted(set(places))
    gaps = {two - one for one, two in pairwise(places)}
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_of_four_hundred_million_pairs_a_million_are_read() -> None:
    sample = sample_shards(_manifest([10_000] * 40_000))
    assert (len(sample.shards), sample.num_pairs) == (100, 1_000_000)
    assert "1,000,000 of 400,000,000 pairs (0.2 %), those of 100 of 40,000 shards" in sample.basis


def test_shares_of_a_sample_are_near_to_those_of_all(tmp_path: Path) -> None:
    numbers = random.Random(0).sample(range(24 * 50), 300)  # as keys are: in an order that says nothing
    captions = [f"a {'red' if number % 3 else 'green'} thing {number}" for number in numbers]
    dataset = open_dataset(make_dataset(tmp_path, num_pairs=300, pairs_per_shard=10, captions=captions))
    whole = collect_pairs(dataset, sample_shards(dataset.manifest))
    part = collect_pairs(dataset, sample_shards(dataset.manifest, 100))
    assert part.sample.num_pairs == 100
    for host, count in whole.hosts.items():
        assert abs(part.hosts[host] / 100 - count / 300) < 0.15


def test_the_page_of_a_sample_says_what_it_is_estimated_from(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=40, pairs_per_shard=4)
    html = write_report(root, max_pairs=12).read_text("utf-8")
    assert "Estimated from 12 of 40 pairs (30.0 %), those of 3 of 10 shards." in html
    assert "Estimated" not in write_report(root).read_text("utf-8")


def test_a_survivor_in_a_shard_that_was_not_read_is_said_to_be_so(tmp_path: Path) -> None:
    make_dataset(tmp_path, num_pairs=8)
    last = open_dataset(tmp_path).read_index(read_manifest(tmp_path).shards[0]).to_pylist()[0]
    copy = make_rejection("near_duplicate", stage="dedup", kept_key=last["key"])
    root = make_dataset(tmp_path, num_pairs=8, rejections=[copy])
    assert "not among the shards that were read" in write_report(root, max_pairs=4).read_text("utf-8")
    assert "survivor" in write_report(root).read_text("utf-8").partition('id="duplicates"')[2]


def test_columns_that_an_earlier_version_did_not_write_are_null(tmp_path: Path) -> None:
    dataset = open_dataset(make_dataset(tmp_path, num_pairs=4))
    shard = dataset.manifest.shards[0]
    table = dataset.read_index(shard).drop_columns(["colours", "scores", "caption_origin"])
    write_table(tmp_path / shard.index.path, table)
    assert read_shown(dataset, shard)["colours"].to_pylist() == [None] * 4
    assert collect_pairs(dataset, sample_shards(dataset.manifest)).colours.counts == {}


def test_a_page_of_many_reasons_and_noisy_pictures_stays_below_fifteen_megabytes(tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    pictures = [_noise(noise.integers(0, 256, (128, 128, 3))) for _ in range(8)]
    rejections = [
        make_rejection(f"reason_{number}", caption=f"{picture} " * 300, thumbnail=pictures[picture])
        for number in range(70)
        for picture in range(8)
    ]
    root = make_dataset(tmp_path, num_pairs=24, pictures=(pictures * 3), rejections=rejections)
    assert write_report(root).stat().st_size < 15_000_000


def _noise(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def test_the_same_pairs_in_other_shards_give_the_same_figures(tmp_path: Path) -> None:
    one = open_dataset(make_dataset(tmp_path / "one", num_pairs=20, pairs_per_shard=3))
    two = open_dataset(make_dataset(tmp_path / "two", num_pairs=20, pairs_per_shard=20))
    figures = [collect_pairs(each, sample_shards(each.manifest)) for each in (one, two)]
    plain = [replace(each, sample=figures[0].sample, lowest=[], most_copied=[]) for each in figures]
    assert plain[0] == plain[1]
