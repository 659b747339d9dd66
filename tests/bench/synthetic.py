"""A synthetic dataset of 400 million pairs in 40,000 shards, for what must hold at that size; below 1 GB.

    python -m tests.bench.synthetic runs/synthetic --shards 40000 --pairs-per-shard 10000

The manifest is a real one with 40,000 shards. Indexes, tars and tables of rejections are hard links to a few,
so that keys repeat: `verify` would say so, and only times and memory mean something. RARE is the licence of
the rows of one shard in 1,000, for selections that write little.
"""

import argparse
import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from manifests.schema import (
    COVERAGE_SCHEMA,
    INDEX_SCHEMA,
    QUERY_SCHEMA,
    REJECTION_SCHEMA,
    SAMPLE_SCHEMA,
    FileRecord,
    Manifest,
    Shard,
    StageCount,
)
from manifests.store import content_hash, record_file, write_bytes, write_manifest, write_table

TEMPLATES, RARE_EVERY, RARE = 8, 1000, "rare-licence"
TERMS = 500_000
REASONS = (("text", "caption_language"), ("cap", "over_cap"), ("fetch", "http_error"), ("fetch", "timeout"))
WORDS = np.array(
    ["a", "red", "green", "umbrella", "on", "the", "beach", "photo", "of", "old", "harbour", "cat"]
)


def write_synthetic(root: Path, num_shards: int, pairs_per_shard: int, seed: int) -> Manifest:
    """Write a dataset; seeds 0 and 1 share nine pairs in ten. Each has as many rejections as pairs, and among
    them are the pairs that only the other has."""
    shards = tuple(_shards(root, num_shards, pairs_per_shard, seed))
    rejections = tuple(_rejections(root, num_shards, pairs_per_shard, seed))
    tables = tuple(_tables(root, shards))
    num_dropped = num_shards * pairs_per_shard // len(REASONS)
    manifest = Manifest(
        name=root.name,
        created_at="2026-11-21T00:00:00+00:00",
        code_version="openwit 0.1.0",
        config={"cap": {"max_pairs_per_query": 20_000 + seed, "rule": "exact"}, "dedup": {"max_distance": 4}},
        num_pairs=num_shards * pairs_per_shard,
        num_queries=TERMS,
        queries_sha256=f"{seed:064x}",
        funnel=tuple(_funnel(num_shards * pairs_per_shard, num_dropped)),
        shards=shards,
        files=(*rejections, *tables),
        content_hash=content_hash(shards),
    )
    write_manifest(root, manifest)
    return manifest


def _funnel(num_pairs: int, num_dropped: int) -> list[StageCount]:
    left, stages = num_pairs, list[StageCount]()
    for stage in ("fetch", "cap", "text"):
        dropped = {reason: num_dropped for of, reason in REASONS if of == stage}
        num_in = left + sum(dropped.values())
        stages.insert(0, StageCount(stage=stage, num_in=num_in, num_out=left, dropped=dropped))
        left = num_in
    return stages


def _shards(root: Path, num_shards: int, pairs_per_shard: int, seed: int) -> list[Shard]:
    made = [_template(root, number, pairs_per_shard, seed) for number in range(TEMPLATES + 1)]
    for folder in ("shards", "index"):
        (root / folder).mkdir(parents=True)
    shards = []
    for number in range(num_shards):
        rare = number % RARE_EVERY == RARE_EVERY // 2
        shard, name = made[-1 if rare else number % TEMPLATES], f"{number:05d}"
        tar, index = f"shards/{name}.tar", f"index/{name}.parquet"
        os.link(root / shard.tar.path, root / tar)
        os.link(root / shard.index.path, root / index)
        records = replace(shard.tar, path=tar), replace(shard.index, path=index)
        shards.append(replace(shard, tar=records[0], index=records[1]))
    return shards


def _template(root: Path, number: int, num_rows: int, seed: int) -> Shard:
    """Write the tar and the index of one kind of shard."""
    rows = _rows(number, num_rows, seed)
    tar, index = root / f"templates/{number}.tar", root / f"templates/{number}.parquet"
    tar.parent.mkdir(parents=True, exist_ok=True)
    picture, offsets = _picture(number), []
    with tarfile.open(tar, "w") as file:
        for key, caption in zip(rows["key"].to_pylist(), rows["caption"].to_pylist(), strict=True):
            for ending, data in (("jpg", picture), ("txt", caption.encode()), ("json", b"{}")):
                member = tarfile.TarInfo(f"{key}.{ending}")
                member.size = len(data)
                offsets.append(file.offset + tarfile.BLOCKSIZE)
                file.addfile(member, io.BytesIO(data))
    for name, values in (("offset", offsets[::3]), ("num_bytes", [len(picture)] * num_rows)):
        place = rows.schema.get_field_index(name)
        rows = rows.set_column(place, rows.schema.field(place), pa.array(values, pa.int64()))
    licence = RARE if number == TEMPLATES else "CC BY 4.0"
    place = rows.schema.get_field_index("licence")
    rows = rows.set_column(place, rows.schema.field(place), pa.repeat(licence, num_rows))
    write_table(index, rows)
    return Shard(tar=record_file(root, tar), index=record_file(root, index), num_pairs=num_rows)


def _rows(number: int, num_rows: int, seed: int) -> pa.Table:
    """Return index rows in the order of keys; of every ten one is this seed's own."""
    numbers = np.arange(num_rows) + number * num_rows
    own = np.where(numbers % 10 == 0, f"-{seed}", "")
    names = [f"{each}{suffix}" for each, suffix in zip(numbers.tolist(), own.tolist(), strict=True)]
    digests = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    random = np.random.default_rng(number)
    words = WORDS[random.integers(0, len(WORDS), (num_rows, 9))]
    texts = [f"{' '.join(line)} {name}" for line, name in zip(words.tolist(), names, strict=True)]
    hosts = random.zipf(1.5, num_rows) % 20_000
    urls = [
        f"https://www.host-{host}.example/media/{name}.jpg" for host, name in zip(hosts, names, strict=True)
    ]
    order = np.argsort(np.array(digests))
    given = {
        "key": pa.array([digest[:32] for digest in digests]),
        "caption": pa.array(texts),
        "url": pa.array(urls),
        "page_url": pa.array([url.replace("media", "page").replace(".jpg", "") for url in urls]),
        "source": pa.repeat("common_crawl", num_rows),
        "caption_origin": pa.repeat("alt", num_rows),
        "query_ids": pa.array(random.integers(0, TERMS, (num_rows, 3)).tolist(), pa.list_(pa.int32())),
        "language": pa.repeat("en", num_rows),
        "language_score": pa.array(random.random(num_rows), pa.float32()),
        "sha256": pa.array(digests),
        "phash": pa.array(random.integers(0, 2**64, num_rows, np.uint64)),
        **{name: pa.array(random.integers(64, 1024, num_rows), pa.int32()) for name in ("width", "height")},
        "original_width": pa.array(random.integers(64, 4096, num_rows), pa.int32()),
        "original_height": pa.array(random.integers(64, 4096, num_rows), pa.int32()),
        "num_duplicates": pa.repeat(pa.scalar(0, pa.int32()), num_rows),
        "robots": pa.repeat("allowed", num_rows),
        "colours": pa.array([random.bytes(48).hex() for _ in range(num_rows)]),
    }
    return _filled(given, INDEX_SCHEMA, num_rows).take(pa.array(order))


def _filled(given: dict[str, pa.Array], schema: pa.Schema, num_rows: int) -> pa.Table:
    """Return a table of this schema, columns that nobody gave null."""
    return pa.table(
        [given.get(field.name, pa.nulls(num_rows, field.type)) for field in schema], schema=schema
    )


def _picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.effect_noise((32, 32), 60 + number).convert("RGB").save(file, "jpeg")
    return file.getvalue()


def _rejections(root: Path, num_shards: int, pairs_per_shard: int, seed: int) -> list[FileRecord]:
    """Write as many rejections as there are pairs; of every ten one is of a pair of the other seed's own."""
    (root / "rejections").mkdir()
    made = list[FileRecord]()
    for number in range(TEMPLATES):
        rows = _rows(number, pairs_per_shard, 1 - seed)
        places = np.arange(pairs_per_shard) % len(REASONS)
        given = {
            "stage": pa.array([REASONS[place][0] for place in places]),
            "reason": pa.array([REASONS[place][1] for place in places]),
            "detail": pa.repeat("404", pairs_per_shard),
            **{name: rows[name].combine_chunks() for name in ("url", "caption", "source", "page_url")},
        }
        nobody = pa.array(np.char.add(np.array(given["url"].to_pylist()), "?x"))
        own = pa.array(["-" in url.rpartition("/")[2] for url in given["url"].to_pylist()])
        given["url"] = pa.compute.if_else(own, given["url"], nobody)
        path = root / f"templates/rejections-{number}.parquet"
        write_table(path, _filled(given, REJECTION_SCHEMA, pairs_per_shard))
        made.append(record_file(root, path))
    records = []
    for number in range(num_shards):
        record, to = made[number % TEMPLATES], f"rejections/{number:05d}.parquet"
        os.link(root / record.path, root / to)
        records.append(replace(record, path=to))
    return records


def _tables(root: Path, shards: tuple[Shard, ...]) -> list[FileRecord]:
    sizes = ", ".join(f'"{shard.tar.path[7:]}": {shard.num_pairs}' for shard in shards)
    write_bytes(root / "shards/sizes.json", f"{{{sizes}}}".encode())
    counts = pa.array(np.arange(TERMS) % 20_000, pa.int64())
    queries = {
        "query_id": pa.array(np.arange(TERMS), pa.int32()),
        "text": pa.array([f"term {number}" for number in range(TERMS)]),
        "origin": pa.repeat("word", TERMS),
        **dict.fromkeys(("num_matched", "num_tried", "num_kept"), counts),
    }
    coverage = {"origin": pa.array(["word"]), "source": pa.array(["common_crawl"])}
    coverage |= dict.fromkeys(("num_queries", "num_matched", "num_tried", "num_kept"), pa.array([TERMS]))
    write_table(root / "queries.parquet", _filled(queries, QUERY_SCHEMA, TERMS))
    write_table(root / "coverage.parquet", _filled(coverage, COVERAGE_SCHEMA, 1))
    write_table(root / "samples.parquet", SAMPLE_SCHEMA.empty_table())
    names = ("coverage.parquet", "queries.parquet", "samples.parquet", "shards/sizes.json")
    return [record_file(root, root / name) for name in names]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--shards", type=int, default=40_000)
    parser.add_argument("--pairs-per-shard", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    request = parser.parse_args()
    write_synthetic(request.root, request.shards, request.pairs_per_shard, request.seed)
