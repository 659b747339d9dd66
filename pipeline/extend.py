"""Adding to a finished dataset: new pairs go into new shards; what is published is never rewritten.

An addition grows as a build of its own in work/extend-<number>, judged against the dataset beside it
(`Job.base`): copies of published pictures are dropped, and terms that are full take no more. When it is
whole, its files are moved into the dataset, the manifest last; a cut move is completed by whoever comes next.
"""

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from filters.do_not_fetch import SEPARATOR
from manifests.do_not_fetch import LIST_NAME
from manifests.report import write_report
from manifests.schema import Manifest
from manifests.storage import is_local, read_bytes, read_table
from manifests.store import MANIFEST_NAME, Dataset, clear_cut_short, read_manifest, write_bytes
from manifests.takedown.apply import complete
from manifests.transfer import move_all
from pipeline.config import BuildConfig, RunOptions
from pipeline.job import Job
from pipeline.limits import Fetch
from pipeline.records import Query

EXTEND = "extend"  # the kind of a change that brings new terms or a new crawl


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
            base=Dataset(self.dataset, self.manifest),
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
        names = sorted(file.path for file in self.manifest.files if file.path.startswith("rejections/"))
        return [self.dataset / name for name in names]


def config_of(manifest: Manifest) -> BuildConfig:
    """Return what a dataset was built by, as additions to it have changed it."""
    config = manifest.config
    for change in manifest.history:
        for name, value in change.request.get("settings", {}).items() if change.kind == EXTEND else ():
            config = _with(config, name.split("."), value)
    return msgspec.convert(config, BuildConfig)


def _with(config: dict[str, Any], path: list[str], value: Any) -> dict[str, Any]:
    name, *rest = path
    return config | {name: _with(config.get(name, {}), rest, value) if rest else value}


def open_extension(dataset: Path, work: Path) -> Extension:
    """Open a finished dataset for an addition, which grows in `work`; complete one whose move into it was
    cut short. Raises ValueError where it cannot grow."""
    if not is_local(work):
        raise ValueError(
            f"work: {work} is in a store, and an addition grows on this machine. Next: --work DIR"
        )
    extension = Extension(dataset, completed(dataset, work), work)
    if any(change.kind == "score" for change in extension.manifest.history):
        raise ValueError(
            f"{dataset} was scored by a trained model, which new pairs were not: add to the dataset that it "
            "was made from, and score that again"
        )
    for left in work.glob("extend-*"):
        if left != extension.folder:  # moved in, but not cleared away
            shutil.rmtree(left)
    return extension


def completed(dataset: Path, work: Path) -> Manifest:
    """Return the manifest of a finished dataset. A takedown that was cut short is completed, and so is the
    move of an addition into it."""
    complete(dataset)
    extension = Extension(dataset, read_manifest(dataset), work)
    if not (extension.folder / MANIFEST_NAME).exists():
        return extension.manifest
    move_in(extension)
    return read_manifest(dataset)


def move_in(extension: Extension) -> None:
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
    for several in (set(names) - replaced, set(names) & replaced, {MANIFEST_NAME}):
        move_all(sorted(several), new, extension.dataset)
    write_report(extension.dataset)
    shutil.rmtree(new)
