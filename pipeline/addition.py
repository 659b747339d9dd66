"""The end of an addition: what its phases left becomes files of the dataset, and the change its manifest.

Nothing of the dataset is written here but what stands in `Extension.folder`; `move_in` takes it from there.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from filters.queries import queries_sha256
from manifests.dates import dates_of, joined
from manifests.fetch_times import record_fetch_times
from manifests.publishing import following
from manifests.schema import Change, FileRecord, Manifest, SourceRecord, StageCount
from manifests.storage import read_table
from manifests.store import record_file, write_manifest, write_table
from pipeline import finish
from pipeline.coverage import add_coverage
from pipeline.extend import EXTEND, Extension, move_in
from pipeline.job import Job
from pipeline.parts import parts_in, rejection_files
from pipeline.rejected import Counts, gather

# Which rows of a table of rejections (REJECTION_SCHEMA) are tried again: bool, one for each.
Mask = Callable[[pa.Table], pa.Array]


@dataclass(frozen=True, kw_only=True)
class Addition:
    """What an addition was asked for, and what it looked at."""

    kind: str
    request: dict[str, Any]
    num_tried: int
    tried: Mask | None = None
    """The dataset's rejections that were tried again, which what became of them replaces. None: what was
    tried came in from outside, and goes through the funnel besides."""

    def change(self, num_gained: int, dropped: Counts) -> Change:
        """Return what the manifest's history says of it."""
        reasons = Counter[str]()
        for (_, reason), number in sorted(dropped.items()):
            reasons[reason] += number
        return Change(
            kind=self.kind,
            request=self.request,
            num_tried=self.num_tried,
            num_gained=num_gained,
            dropped=dict(reasons),
        )


def publish_extension(extension: Extension, job: Job, phases: Sequence[str], addition: Addition) -> Manifest:
    """Add what the phases of an addition have left to the dataset; return the new manifest."""
    new, old = extension.folder, extension.manifest
    tables = [path for name in phases for path in rejection_files(job.folder(name))]
    left, gone = _write_left(extension, addition.tried)
    first, run = _next_number(left), job.runner("rejected")
    added_tables, dropped, samples = gather(tables, new, job.folder("rejected"), run, first)
    written = [part.name for part in parts_in(new / "index")]
    added = list(finish.read_shards(written, new, job.folder("shards")))
    shards = (*old.shards, *added)
    files = (
        *left,
        *added_tables,
        *add_coverage(job, new, anew=addition.tried is None),
        finish.write_sizes(shards, new),
        *record_fetch_times(new, tuple(added)),
        _write_samples(extension, samples, job.folder("fetched"), addition.tried),
    )
    names = {file.path for file in files}
    num_in = addition.num_tried if addition.tried is None else 0
    manifest = following(
        old,
        shards=shards,
        files=[*files, *(file for file in old.files if file.path not in names)],
        funnel=grown(old.funnel, num_in, dropped, gone),
        change=addition.change(sum(shard.num_pairs for shard in added), dropped),
    )
    manifest = replace(
        manifest,
        num_queries=len(job.queries),
        queries_sha256=queries_sha256([query.text for query in job.queries]),
        sources=_joined_sources(old.sources, job) if addition.kind == EXTEND else old.sources,
        dates=joined([old.dates, dates_of(new, None, tuple(added))]),
    )
    write_manifest(new, manifest)
    move_in(extension)
    return manifest


def grown(
    funnel: Sequence[StageCount], num_in: int, dropped: Counts, gone: Counts | None = None
) -> tuple[StageCount, ...]:
    """Return a funnel into which `num_in` more records went, of which and from which `dropped` fell out, and
    whose rejections `gone` are no longer such."""
    assert {stage for stage, _ in dropped} <= {stage.stage for stage in funnel}, (funnel, dropped)
    stages, at = [], funnel[0].num_in + num_in
    for stage in funnel:
        counts = Counter(stage.dropped)
        counts.update({reason: number for (name, reason), number in dropped.items() if name == stage.stage})
        counts.subtract({r: number for (name, r), number in (gone or {}).items() if name == stage.stage})
        left = {reason: number for reason, number in sorted(counts.items()) if number}
        num_out = at - sum(left.values())
        stages.append(StageCount(stage=stage.stage, num_in=at, num_out=num_out, dropped=left))
        at = num_out
    return tuple(stages)


def _joined_sources(old: Sequence[SourceRecord], job: Job) -> tuple[SourceRecord, ...]:
    """Return what each source has read and given, then and now."""
    records = {record.name: record for record in old}
    for record in finish.source_records(job.config.sources, job.parts("candidates")):
        had = records.get(record.name, replace(record, num_candidates=0, read=()))
        read = dict.fromkeys((*had.read, *record.read))
        number = had.num_candidates + record.num_candidates
        records[record.name] = replace(record, num_candidates=number, read=tuple(read))
    return tuple(records.values())


def _next_number(tables: Sequence[FileRecord]) -> int:
    return max((int(Path(table.path).stem) + 1 for table in tables), default=0)


def _write_left(extension: Extension, tried: Mask | None) -> tuple[list[FileRecord], Counts]:
    """Write the tables of rejections anew from which rows are tried again; return the records of all, and how
    many rows were."""
    recorded = {file.path: file for file in extension.manifest.files}
    records, gone = [], Counts()
    for path in extension.rejections():
        name = path.relative_to(extension.dataset).as_posix()
        table = read_table(path) if tried else None
        mask = tried(table) if tried else None
        if table is None or not pc.any(mask).as_py():
            records.append(recorded[name])
            continue
        for row in table.filter(mask).select(["stage", "reason"]).to_pylist():
            gone[row["stage"], row["reason"]] += 1
        write_table(extension.folder / name, table.filter(pc.invert(mask)))
        records.append(record_file(extension.folder, extension.folder / name))
    return records, gone


def _write_samples(
    extension: Extension, dropped: Sequence[Path], fetched: Path, tried: Mask | None
) -> FileRecord:
    samples = read_table(extension.dataset / "samples.parquet")
    left = extension.folder / "work" / "samples.parquet"
    write_table(left, samples.filter(pc.invert(tried(samples))) if tried else samples)
    return finish.write_samples([left, *dropped], fetched, extension.folder)
