"""The end of a build: rejections, samples, search terms and counts into the dataset, the manifest last."""

import importlib.metadata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pyarrow as pa

from filters.queries import queries_sha256
from manifests.dates import dates_of
from manifests.fetch_times import record_fetch_times
from manifests.schema import (
    SAMPLE_SCHEMA,
    FileRecord,
    Manifest,
    Shard,
    SourceRecord,
    StageCount,
)
from manifests.storage import name_of, read_bytes
from manifests.store import content_hash, record_file, write_bytes, write_manifest, write_table
from pipeline.fetch.pixels import thumbnail
from pipeline.parts import Part, parts_in
from pipeline.records import Query
from pipeline.rejected import samples_of
from pipeline.sources import Sources

# The stages in the order of the funnel.
STAGES = ("crawl", "match", "text", "distinct", "cap", "fetch", "image", "score", "dedup", "final_cap")

Row = dict[str, Any]


def funnel(counts: Mapping[tuple[str, str], int], num_candidates: int) -> tuple[StageCount, ...]:
    """Return the funnel from the number of rejected rows of each (stage, reason); what comes out of a stage
    goes into the next. Stages that came after a build, such as a takedown, come last."""
    order = (*STAGES, *dict.fromkeys(at for at, _ in counts if at not in STAGES))
    dropped = {
        stage: {reason: count for (at, reason), count in sorted(counts.items()) if at == stage}
        for stage in order
    }
    num_in = num_candidates + sum(dropped["crawl"].values())
    stages = []
    for stage in order:
        num_out = num_in - sum(dropped[stage].values())
        stages.append(StageCount(stage=stage, num_in=num_in, num_out=num_out, dropped=dropped[stage]))
        num_in = num_out
    return tuple(stages)


def source_records(sources: Sources, candidates: Sequence[Part]) -> tuple[SourceRecord, ...]:
    """Return what each source that was on has read, and how many candidates it gave in these parts."""
    counts = Counter[str]()
    for part in candidates:
        counts[part.name.partition("-")[0]] += part.num_rows()
    return tuple(
        SourceRecord(name=name, num_candidates=counts[name], read=tuple(read), licence=source.licence)
        for name, source in sources.by_name().items()
        if (read := source.places())
    )


def write_samples(files: Sequence[Path], fetched: Path, dataset: Path) -> FileRecord:
    """Write some rejections of each reason, with a thumbnail where there was a picture."""
    rows = samples_of(files).to_pylist()
    _add_thumbnails([row for row in rows if row["kept_key"]], fetched)
    path = dataset / "samples.parquet"
    write_table(path, pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA))
    return record_file(dataset, path)


def _add_thumbnails(copies: list[Row], fetched: Path) -> None:
    """Give dropped copies their thumbnails, from where they were staged."""
    wanted = {(row["url"], row["caption"]): row for row in copies}
    for part in parts_in(fetched):
        if not wanted:
            return
        for row in part.rows(["url", "caption", "unit", "offset", "num_bytes"]).to_pylist():
            if sample := wanted.pop((row["url"], row["caption"]), None):
                stop = row["offset"] + row["num_bytes"]
                sample["thumbnail"] = thumbnail(
                    read_bytes(fetched / f"{row['unit']}.tar", row["offset"], stop)
                )


def write_sizes(shards: Sequence[Shard], dataset: Path) -> FileRecord:
    """Write sizes.json beside the tars, where open_clip looks for the number of pairs in each."""
    path = dataset / "shards" / "sizes.json"
    write_bytes(path, orjson.dumps({Path(shard.tar.path).name: shard.num_pairs for shard in shards}))
    return record_file(dataset, path)


def read_shards(names: Sequence[str], dataset: Path, records: Path) -> Iterator[Shard]:
    """Yield the records of shards that are written: as their writer left them in `records`, or, where it was
    cut short before that, anew."""
    for name in names:
        if (record := records / f"{name}.json").exists():
            yield msgspec.json.decode(record.read_bytes(), type=Shard)
            continue
        index = dataset / "index" / f"{name}.parquet"
        yield Shard(
            tar=record_file(dataset, dataset / "shards" / f"{name}.tar"),
            index=record_file(dataset, index),
            num_pairs=Part(dataset / "index", name).num_rows(),
        )


def publish(
    dataset: Path,
    config: dict[str, Any],
    queries: Sequence[Query],
    stages: tuple[StageCount, ...],
    shards: tuple[Shard, ...],
    files: tuple[FileRecord, ...],
    sources: tuple[SourceRecord, ...],
    begun: str | None,
) -> Manifest:
    """Write the manifest of what is there, and with it the dataset."""
    num_pairs = sum(shard.num_pairs for shard in shards)
    assert num_pairs == stages[-1].num_out, (num_pairs, stages[-1])
    dates = dates_of(dataset, begun, shards)
    manifest = Manifest(
        name=name_of(dataset),
        created_at=dates.finished,
        code_version=f"openwit {importlib.metadata.version('openwit')}",
        config=config,
        num_pairs=num_pairs,
        num_queries=len(queries),
        queries_sha256=queries_sha256([query.text for query in queries]),
        funnel=stages,
        shards=shards,
        files=tuple(sorted((*files, *record_fetch_times(dataset, shards)), key=lambda file: file.path)),
        content_hash=content_hash(shards),
        sources=sources,
        dates=dates,
    )
    write_manifest(dataset, manifest)
    return manifest
