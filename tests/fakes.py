"""Small finished datasets, written through the real schema and store: no pipeline, no network."""

import hashlib
import io
import json
import tarfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw

from filters.queries import queries_sha256
from filters.sampling import content_key
from manifests import storage, store
from manifests.schema import (
    COVERAGE_SCHEMA,
    INDEX_SCHEMA,
    QUERY_SCHEMA,
    REJECTION_SCHEMA,
    SAMPLE_SCHEMA,
    Manifest,
    Shard,
    StageCount,
)

COLOURS = ("red", "green", "blue", "yellow", "white", "orange", "purple", "grey")
SHAPES = ("square", "circle", "triangle")

Row = dict[str, Any]


def make_picture(number: int, side_px: int = 64) -> bytes:
    """Return a JPEG of one coloured shape on black; equal numbers give equal bytes."""
    picture = Image.new("RGB", (side_px, side_px))
    draw = ImageDraw.Draw(picture)
    colour = COLOURS[number % len(COLOURS)]
    shape = SHAPES[number // len(COLOURS) % len(SHAPES)]
    low, high = side_px // 4, 3 * side_px // 4
    if shape == "square":
        draw.rectangle((low, low, high, high), fill=colour)
    elif shape == "circle":
        draw.ellipse((low, low, high, high), fill=colour)
    else:
        draw.polygon([(low, high), (side_px // 2, low), (high, high)], fill=colour)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def make_caption(number: int) -> str:
    """Return the words for `make_picture(number)`, distinct for every number."""
    colour = COLOURS[number % len(COLOURS)]
    shape = SHAPES[number // len(COLOURS) % len(SHAPES)]
    return f"a {colour} {shape} on black, drawing {number}"


def make_rejection(
    reason: str, *, stage: str = "screen_image", thumbnail: bytes | None = None, **row: Any
) -> Row:
    """Return a row of SAMPLE_SCHEMA (without its thumbnail, of REJECTION_SCHEMA)."""
    defaults: Row = {
        "detail": "shorter side 63 px < 64 px",
        "url": f"https://img.example/{reason}.jpg",
        "caption": f"dropped for {reason}",
        "source": "folder",
        "kept_key": None,
    }
    return {"stage": stage, "reason": reason, "thumbnail": thumbnail} | defaults | row


def make_dataset(
    root: Path,
    *,
    num_pairs: int = 8,
    pairs_per_shard: int = 4,
    captions: Sequence[str] | None = None,
    pictures: Sequence[bytes] | None = None,
    rejections: Sequence[Row] = (),
    overrides: Mapping[str, Any] | None = None,
    phashes: Sequence[int] | None = None,
    config: Mapping[str, Any] | None = None,
    name: str = "shapes",
) -> Path:
    """Write a finished dataset of coloured shapes at `root` and return `root`.

    `captions`, `pictures` and `phashes` replace the generated ones (and must then be `num_pairs` long);
    every rejection is counted in the funnel, stored and sampled; `overrides` sets columns of all index rows.
    """
    captions = captions or [make_caption(number) for number in range(num_pairs)]
    pictures = pictures or [make_picture(number) for number in range(num_pairs)]
    assert len(captions) == len(pictures) == num_pairs, (len(captions), len(pictures), num_pairs)
    queries = _write_queries(root, captions)
    rows = [
        _index_row(number, captions[number], pictures[number], queries)
        | ({"phash": phashes[number]} if phashes else {})
        | dict(overrides or {})
        for number in range(num_pairs)
    ]
    shards = tuple(
        _write_shard(
            root,
            first // pairs_per_shard,
            rows[first : first + pairs_per_shard],
            pictures[first:][:pairs_per_shard],
        )
        for first in range(0, num_pairs, pairs_per_shard)
    )
    sizes = {Path(shard.tar.path).name: shard.num_pairs for shard in shards}
    store.write_bytes(root / "shards/sizes.json", json.dumps(sizes).encode())
    samples = pa.Table.from_pylist(list(rejections), SAMPLE_SCHEMA)
    store.write_table(root / "samples.parquet", samples)
    store.write_table(root / "rejections/00000.parquet", samples.select(REJECTION_SCHEMA.names))
    others = (
        "coverage.parquet",
        "queries.parquet",
        "rejections/00000.parquet",
        "samples.parquet",
        "shards/sizes.json",
    )
    manifest = Manifest(
        name=name,
        created_at="2026-01-02T03:04:05+00:00",
        code_version="0.1.0",
        config=dict(config or {"name": name}),
        num_pairs=num_pairs,
        num_queries=len(queries),
        queries_sha256=queries_sha256(queries),
        funnel=_funnel(num_pairs, rejections),
        shards=shards,
        files=tuple(store.record_file(root, root / path) for path in others),
        content_hash=store.content_hash(shards),
    )
    store.write_manifest(root, manifest)
    return root


def _index_row(number: int, caption: str, picture: bytes, queries: Sequence[str]) -> Row:
    width, height = Image.open(io.BytesIO(picture)).size
    words = caption.casefold().split()
    return {
        "key": content_key(hashlib.sha256(picture).hexdigest(), caption),
        "num_bytes": len(picture),
        "caption": caption,
        "url": f"https://host{number % 3}.example/pictures/{number}.jpg",
        "page_url": f"https://host{number % 3}.example/page{number}",
        "source": "folder",
        "found_by": None,
        "licence": "CC BY 4.0" if number % 2 else None,
        "query_ids": [query_id for query_id, text in enumerate(queries) if text in words],
        "language": "en",
        "language_score": 0.5 + (number % 50) / 100,
        "width": width,
        "height": height,
        "original_width": width * (1 + number % 5),
        "original_height": height * (1 + number % 3),
        "original_bytes": len(picture),
        "sha256": hashlib.sha256(picture).hexdigest(),
        "phash": int.from_bytes(hashlib.sha256(picture).digest()[:8]),
        "num_duplicates": 0,
        "extra_captions": None,
    }


def _write_shard(root: Path, number: int, rows: Sequence[Row], pictures: Sequence[bytes]) -> Shard:
    tar_path = root / f"shards/{number:05}.tar"
    with (
        storage.written_whole(tar_path) as temporary,
        tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        told = pa.Table.from_pylist(list(rows), INDEX_SCHEMA).to_pylist(maps_as_pydicts="strict")
        for row, entry, picture in zip(rows, told, pictures, strict=True):
            row["offset"] = tar.offset + tarfile.BLOCKSIZE  # the bytes follow one header block
            facts = {name: value for name, value in entry.items() if name not in ("offset", "num_bytes")}
            members = {"jpg": picture, "txt": row["caption"].encode(), "json": json.dumps(facts).encode()}
            for suffix, data in members.items():
                member = tarfile.TarInfo(f"{row['key']}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    index_path = root / f"index/{number:05}.parquet"
    store.write_table(index_path, pa.Table.from_pylist(list(rows), INDEX_SCHEMA))
    return Shard(
        tar=store.record_file(root, tar_path), index=store.record_file(root, index_path), num_pairs=len(rows)
    )


def _write_queries(root: Path, captions: Sequence[str]) -> list[str]:
    """Number the colours, the shapes and one word that no caption holds."""
    queries = sorted({*COLOURS, *SHAPES, "zebra"})
    counts = Counter(word for caption in captions for word in set(caption.casefold().split()))
    rows = [
        {
            "query_id": query_id,
            "text": text,
            "origin": "word",
            "num_matched": counts[text],
            "num_tried": counts[text],
            "num_kept": counts[text],
        }
        for query_id, text in enumerate(queries)
    ]
    store.write_table(root / "queries.parquet", pa.Table.from_pylist(rows, QUERY_SCHEMA))
    hits = dict.fromkeys(("num_matched", "num_tried", "num_kept"), sum(counts[text] for text in queries))
    shares = [{"origin": "word", "source": "folder", "num_queries": len(rows) - 1} | hits]
    store.write_table(root / "coverage.parquet", pa.Table.from_pylist(shares, COVERAGE_SCHEMA))
    return queries


def _funnel(num_pairs: int, rejections: Sequence[Row]) -> tuple[StageCount, ...]:
    """Return one stage per stage of the rejections, in their order, the last one ending at `num_pairs`."""
    stages = []
    num_in = num_pairs + len(rejections)
    for stage in dict.fromkeys(row["stage"] for row in rejections) or ["match"]:
        dropped = Counter(row["reason"] for row in rejections if row["stage"] == stage)
        num_out = num_in - dropped.total()
        stages.append(StageCount(stage=stage, num_in=num_in, num_out=num_out, dropped=dict(dropped)))
        num_in = num_out
    return tuple(stages)
