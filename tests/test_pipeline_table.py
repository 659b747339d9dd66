"""URL tables: every format that img2dataset reads, its hash and box columns, and columns kept besides."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from filters.hashes import check_hash
from manifests.store import open_dataset
from pipeline.build import build
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.blur import blurred
from pipeline.limits import Fetch, Network
from pipeline.records import Candidate, Rejection
from pipeline.sample_web.server import Resource, Web, serving
from pipeline.sources import Sources
from pipeline.sources.table import MAX_BOXES, Table, blur_boxes
from tests.fakes import make_picture

ROWS = [{"url": f"http://a.test/{number}.jpg", "caption": f"a red cup, {number}"} for number in range(3)]
PICTURE = make_picture(1, side_px=96)


def write_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


def text_of(ending: str) -> str:
    if ending == "json":
        return json.dumps(ROWS)
    if ending == "jsonl":
        return "".join(f"{json.dumps(row)}\n" for row in ROWS)
    if ending == "txt":
        return "".join(f"{row['url']}\n" for row in ROWS)
    mark = "\t" if ending == "tsv" else ","
    return f"url{mark}caption\n" + "".join(f'{row["url"]}{mark}"{row["caption"]}"\n' for row in ROWS)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("ending", ["csv", "tsv", "json", "jsonl", "txt"])
def test_every_format_gives_the_same_candidates(ending: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"urls.{ending}{'.gz' if packed else ''}"
    data = text_of(ending).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    found = list(Table(paths=(str(path),), default_caption="a cup").read("00000", [], Network()))
    captions = ["a cup"] * 3 if ending == "txt" else [row["caption"] for row in ROWS]
    urls = [row["url"] for row in ROWS]
    assert found == [
        Candidate(url=url, caption=caption, source="table", source_file=path.name, source_offset=number)
        for number, (url, caption) in enumerate(zip(urls, captions, strict=True))
    ]


def test_json_of_columns_is_read_as_pandas_writes_it_and_as_lists(tmp_path: Path) -> None:
    columns = {name: [row[name] for row in ROWS] for name in ROWS[0]}
    by_row = {name: {str(number): value for number, value in enumerate(of)} for name, of in columns.items()}
    for number, found in enumerate([columns, by_row]):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(found))
        candidates = list(Table(paths=(str(path),)).read("00000", [], Network()))
        assert [record.caption for record in candidates] == columns["caption"]


def test_json_that_is_neither_breaks_off_as_a_rejection(tmp_path: Path) -> None:
    for number, text in enumerate(['"text"', "{", '{"url": ["a"], "caption": []}']):
        path = tmp_path / f"{number}.json"
        path.write_text(text)
        (found,) = Table(paths=(str(path),)).read("00000", [], Network())
        assert isinstance(found, Rejection)
        assert found.detail.startswith(f"{number}.json breaks off after row 0: ")


def candidate(row: dict[str, Any], tmp_path: Path, **settings: Any) -> Candidate | Rejection:
    """What a table of one row gives."""
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps({"url": "http://a.test/1.jpg", "caption": "a cup", **row}))
    (found,) = Table(paths=(str(path),), **settings).read("00000", [], Network())
    assert isinstance(found, Candidate | Rejection)
    return found


def test_columns_that_are_asked_for_are_kept_as_json(tmp_path: Path) -> None:
    found = candidate({"score": 0.5, "other": 1}, tmp_path, additional_columns=("score", "absent"))
    assert isinstance(found, Candidate)
    assert found.extra == '{"score":0.5,"absent":null}'


@pytest.mark.parametrize(
    ("kind", "make"), [("md5", hashlib.md5), ("sha256", hashlib.sha256), ("sha512", hashlib.sha512)]
)
def test_an_expected_hash_is_checked(kind: str, make: Callable[[bytes], Any], tmp_path: Path) -> None:
    digits = make(PICTURE).hexdigest()
    found = candidate({"digest": digits.upper()}, tmp_path, hash_column="digest", hash_type=kind)
    assert isinstance(found, Candidate)
    assert found.expected_hash == f"{kind}:{digits}"
    assert check_hash(PICTURE, found.expected_hash) is None
    assert str(check_hash(PICTURE + b" ", found.expected_hash)).startswith(f"hash_mismatch: {kind} is ")


@pytest.mark.parametrize(
    ("settings", "row", "said"),
    [
        ({"hash_column": "h"}, {"h": "12"}, "one.jsonl row 1 has '12', which is no sha256"),
        ({"hash_column": "h"}, {"h": "z" * 64}, "one.jsonl row 1 has 'zzzzzzzzzzzz', which is no sha256"),
        ({"boxes_column": "b"}, {"b": "face"}, "one.jsonl row 1 has boxes that cannot be blurred: face"),
    ],
)
def test_a_hash_or_a_box_that_cannot_be_read_drops_the_row(
    settings: dict[str, str], row: dict[str, Any], said: str, tmp_path: Path
) -> None:
    found = candidate(row, tmp_path, **settings)
    assert isinstance(found, Rejection)
    assert (found.reason, found.detail) == ("source_error", said)


@pytest.mark.parametrize("value", [None, "", "[]", []])
def test_no_boxes_are_none(value: object) -> None:
    assert blur_boxes(value) is None


@pytest.mark.parametrize(
    "value",
    [
        [[0, 0, 1]],
        [[0, 0, 1, 1.1]],
        [[0.5, 0, 0.5, 1]],
        [[0, 0, 1, None]],
        "[[",
        7,
        [[0, 0, 1, 1]] * (MAX_BOXES + 1),
    ],
)
def test_boxes_outside_the_picture_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="boxes that cannot be blurred"):
        blur_boxes(value)


def test_a_box_is_blurred_and_the_rest_stays() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    before, after = noise.astype(int), np.asarray(blurred(image, [[0.25, 0.25, 0.5, 0.5]])).astype(int)
    inside, outside = np.s_[60:90, 85:140], np.s_[:, 200:]
    assert after[inside].std() < before[inside].std() / 10
    assert (after[outside] == before[outside]).all()
    assert after.tobytes() == np.asarray(blurred(image, [[0.25, 0.25, 0.5, 0.5]])).astype(int).tobytes()
    assert blurred(image, []) is image


def test_a_build_keeps_columns_blurs_boxes_and_drops_other_bytes(tmp_path: Path) -> None:
    web, rows = Web(), list[dict[str, Any]]()
    for number, picture in enumerate(make_picture(number, side_px=96) for number in range(3)):
        web.add(f"http://a.sample.test/{number}.jpg", Resource(body=picture))
        caption = f"A red cup on a table, seen {number}"
        rows.append({"url": f"http://a.sample.test/{number}.jpg", "caption": caption})
        rows[-1]["md5"] = hashlib.md5(picture).hexdigest()
    rows[0] |= {"id": 7, "faces": [[0.2, 0.2, 0.8, 0.8]]}
    rows[1] |= {"md5": "0" * 32}
    (tmp_path / "urls.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    (tmp_path / "terms.txt").write_text("cup\n")
    table = Table(
        paths=(str(tmp_path / "urls.jsonl"),),
        additional_columns=("id",),
        hash_column="md5",
        hash_type="md5",
        boxes_column="faces",
    )
    config = BuildConfig(
        queries=str(tmp_path / "terms.txt"),
        sources=Sources(table=table),
        fetch=Fetch(contact="you@example.org", per_host_interval_s=0.0),
    )
    with serving(web) as served:
        options = RunOptions(dataset=tmp_path / "dataset", connect_to=served.connect_to, quiet=True)
        manifest = build(config, options)
    dropped = {reason: count for stage in manifest.funnel for reason, count in stage.dropped.items()}
    assert dropped == {"hash_mismatch": 1}
    opened = open_dataset(tmp_path / "dataset")
    found = {row["url"][-5]: row for row in opened.read_index(opened.manifest.shards[0]).to_pylist()}
    assert [found[key]["extra"] for key in "02"] == ['{"id":7}', '{"id":null}']
    assert [found[key]["blur_boxes"] for key in "02"] == [[[0.2, 0.2, 0.8, 0.8]], None]
