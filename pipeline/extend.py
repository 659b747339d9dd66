"""Adding to a finished dataset: new pairs go into new shards; what is published is never rewritten.

An addition grows as a build of its own in work/extend-<number>, judged against the dataset beside it
(`Job.base`): copies of published pictures are dropped, and terms that are full take no more. When it is
whole, its files are moved into the dataset, the manifest last; a cut move is completed by whoever comes next.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from filters.do_not_fetch import SEPARATOR
from manifests.dates import dates_of, joined
from manifests.fetch_times import record_fetch_times
from manifests.report import write_report
from manifests.schema import Change, FileRecord, Manifest
from manifests.storage import move, read_bytes, read_table
from manifests.store import (
    MANIFEST_NAME,
    clear_cut_short,
    content_hash,
    read_manifest,
    record_file,
    write_bytes,
    write_manifest,
    write_table,
)
from manifests.takedown_apply import complete
from manifests.takedown_list import LIST_NAME
from manifests.verify import funnel_mismatches
from pipeline import finish
from pipeline.config import BuildConfig, RunOptions
from pipeline.coverage import add_kept
from pipeline.job import Job
from pipeline.limits import Fetch
from pipeline.parts import count_rejections, parts_in, sum_of
from pipeline.records import Query

# Which rows of a table of rejections (REJECTION_SCHEMA) are tried again: bool, one for each.
Mask = Callable[[pa.Table], pa.Array]


@dataclass(frozen=True)
class Extension:
    """A dataset, and the folder in which the next addition to it grows."""

    dataset: Path
    manifest: Manifest
    work: Path
    """A folder of this machine."""

    @property
    def folder(self) -> Path:
        """Where the addition grows; a run that was cut short is found here again."""
        return self.work / f"extend-{len(self.manifest.history) + 1}"

    @property
    def config(self) -> BuildConfig:
        """What the dataset was built by."""
        return config_of(self.manifest)

    def begin(self, request: dict[str, Any]) -> None:
        """Give the folder to a request, or go on with it. Raises ValueError where it is another's."""
        note = self.folder / "request.json"
        if note.exists() and (begun := json.loads(note.read_bytes())) != request:
            raise ValueError(
                f"an addition to {self.dataset} is unfinished: {begun}. Next: finish it with the same flags, "
                f"or give it up with rm -r {self.folder}"
            )
        write_bytes(note, json.dumps(request, indent=1).encode())

    def job(self, config: BuildConfig, options: RunOptions) -> Job:
        """Return the addition as a build; `options` name the dataset. What was taken down from that does not
        come back."""
        return Job(
            replace(config, fetch=self._fetch(config.fetch)),
            replace(options, dataset=self.folder, work=None),
            self.queries(),
            base=self.dataset,
        )

    def _fetch(self, fetch: Fetch) -> Fetch:
        """Return limits by which the dataset's own do-not-fetch list is respected, too."""
        listed = self.dataset / LIST_NAME
        if not listed.exists():
            return fetch
        copy = self.folder / "work" / LIST_NAME
        write_bytes(copy, read_bytes(listed))
        lists = filter(None, (fetch.do_not_fetch, str(copy)))
        return replace(fetch, do_not_fetch=SEPARATOR.join(lists))

    def queries(self) -> list[Query]:
        """Return the dataset's search terms."""
        rows = read_table(self.dataset / "queries.parquet", ["query_id", "text", "origin"])
        return [Query(**row) for row in rows.to_pylist()]

    def rejections(self) -> list[Path]:
        """Return the dataset's tables of rejections, in order."""
        return sorted((self.dataset / "rejections").glob("*.parquet"))


def config_of(manifest: Manifest) -> BuildConfig:
    """Return what a dataset was built by."""
    return msgspec.convert(manifest.config, BuildConfig)


def open_extension(dataset: Path, work: Path) -> Extension:
    """Open a finished dataset for an addition, which grows in `work`; complete one whose move into it was
    cut short."""
    complete(dataset)  # a takedown that was cut short
    extension = Extension(dataset, read_manifest(dataset), work)
    if any(change.kind == "score" for change in extension.manifest.history):
        raise ValueError(
            f"{dataset} was scored by a trained model, which new pairs were not: add to the dataset that it "
            "was made from, and score that again"
        )
    if (extension.folder / MANIFEST_NAME).exists():
        _move_in(extension)
        extension = Extension(dataset, read_manifest(dataset), work)
    for left in work.glob("extend-*"):
        if left != extension.folder:  # moved in, but not cleared away
            shutil.rmtree(left)
    return extension


def publish_extension(
    extension: Extension, job: Job, phases: Sequence[str], kind: str, request: dict[str, Any], tried: Mask
) -> Manifest:
    """Add what the phases of an addition have left to the dataset; return the new manifest. The rejections
    that `tried` marks were tried again: they are replaced by what became of them."""
    new, old = extension.folder, extension.manifest
    dropped = [path for name in phases for path in sorted(job.folder(name).glob("*.rejections.parquet"))]
    left = _write_left(extension, tried)
    rejections = [*left, *finish.write_rejections(dropped, new, first=len(left))]
    shards = (
        *old.shards,
        *finish.read_shards([part.name for part in parts_in(new / "index")], new, job.folder("shards")),
    )
    files = (
        *rejections,
        *add_kept(job, new),
        finish.write_sizes(shards, new),
        *record_fetch_times(new, shards[len(old.shards) :]),
        _write_samples(extension, dropped, job.folder("fetched"), tried),
    )
    tables = [_newest(extension, file.path) for file in rejections]
    stages = finish.funnel(tables, old.funnel[0].num_out)
    assert not (wrong := funnel_mismatches(stages)), wrong
    num_pairs = sum(shard.num_pairs for shard in shards)
    reasons = Counter[str]()
    for (_, reason), number in sorted(count_rejections(dropped).items()):
        reasons[reason] += number
    dates = dates_of(new, None, shards[len(old.shards) :])
    change = Change(
        kind=kind,
        request=request,
        num_tried=sum_of(job.parts("selected")),
        num_gained=num_pairs - old.num_pairs,
        dropped=dict(reasons),
        at=dates.finished,
    )
    assert stages[-1].num_out == num_pairs, (stages[-1], num_pairs)
    assert change.num_tried == change.num_gained + reasons.total(), change
    names = {file.path for file in files}
    others = (file for file in old.files if file.path not in names)
    manifest = replace(
        old,
        created_at=dates.finished,
        num_pairs=num_pairs,
        funnel=stages,
        shards=shards,
        files=tuple(sorted((*files, *others), key=lambda file: file.path)),
        content_hash=content_hash(shards),
        history=(*old.history, change),
        dates=joined([old.dates, dates]),
    )
    write_manifest(new, manifest)
    _move_in(extension)
    return manifest


def _newest(extension: Extension, name: str) -> Path:
    """Return where a file of the dataset lies: in the addition where that has it anew."""
    return path if (path := extension.folder / name).exists() else extension.dataset / name


def _write_left(extension: Extension, tried: Mask) -> list[FileRecord]:
    """Write the tables of rejections anew from which rows are tried again; return the records of all."""
    recorded = {file.path: file for file in extension.manifest.files}
    records = []
    for path in extension.rejections():
        table = read_table(path)
        left = table.filter(pc.invert(tried(table)))
        name = path.relative_to(extension.dataset).as_posix()
        if len(left) == len(table):
            records.append(recorded[name])
        else:
            write_table(extension.folder / name, left)
            records.append(record_file(extension.folder, extension.folder / name))
    return records


def _write_samples(extension: Extension, dropped: Sequence[Path], fetched: Path, tried: Mask) -> FileRecord:
    samples = read_table(extension.dataset / "samples.parquet")
    left = extension.folder / "work" / "samples.parquet"
    write_table(left, samples.filter(pc.invert(tried(samples))))
    return finish.write_samples([left, *dropped], fetched, extension.folder)


def _move_in(extension: Extension) -> None:
    """Move an addition that is whole into its dataset, the manifest last; again, where that was cut short."""
    new = extension.folder
    clear_cut_short(new)
    folders = ("shards", "index", "fetch_times", "rejections", ".")
    found = (path for folder in folders for path in sorted((new / folder).glob("*.*")))
    names = [
        path.relative_to(new).as_posix()
        for path in found
        if path.is_file() and path.name not in (MANIFEST_NAME, "request.json")
    ]
    # Files that take the place of others come last: so long is the dataset as its old manifest says.
    replaced = {file.path for file in extension.manifest.files}
    for name in (*sorted(names, key=replaced.__contains__), MANIFEST_NAME):
        move(new / name, extension.dataset / name)
    write_report(extension.dataset)
    shutil.rmtree(new)
