"""Is a dataset whole and what its manifest says? Every mismatch is found and named; nothing is repaired.

Each file is read once. Files and shards are checked by themselves (`verify_shard`), in processes of their own
where several are asked for; what is compared over all of them is gathered here. What no look at a dataset can
find is said in docs/format.md.
"""

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from manifests.checks import inside, manifest_problems, recorded, type_problem
from manifests.do_not_fetch import STAGING
from manifests.fetch_times import FOLDER as FETCH_TIMES
from manifests.schema import FileRecord, Manifest, Shard
from manifests.storage import can_list
from manifests.store import MANIFEST_NAME, DatasetError, manifest_from_bytes
from manifests.verify.found import Found, Mismatch, Plan
from manifests.verify.journal import Journal, line_for
from manifests.verify.keys import Keys, repeated_keys
from manifests.verify.shard import check_file, check_shard, unreadable
from manifests.verify.tables import (
    UNREADABLE,
    Reasons,
    coverage_problems,
    funnel_problems,
    hits_problems,
    query_problems,
    sample_problems,
    sizes_problems,
)

FOLDERS = ("shards", "index", FETCH_TIMES, "rejections")  # nothing else may lie there


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a dataset is verified."""

    deep: bool = False
    workers: int = 1
    journal: Path | None = None


def verify(root: Path, options: Options = Options()) -> Iterator[Mismatch]:
    """Yield every mismatch of the dataset at `root`, none for one that is whole; in the same order whatever
    the number of workers."""
    try:
        data = (root / MANIFEST_NAME).read_bytes()
        manifest = manifest_from_bytes(data)
    except (OSError, DatasetError) as error:
        yield Mismatch(MANIFEST_NAME, unreadable(error) if isinstance(error, OSError) else str(error))
        return
    if problem := type_problem(manifest):  # nothing that it says can be relied on
        yield Mismatch(MANIFEST_NAME, problem)
        return
    yield from (Mismatch(MANIFEST_NAME, problem) for problem in manifest_problems(manifest, data))
    if (root / STAGING / MANIFEST_NAME).exists():
        yield Mismatch(STAGING, "is a takedown that was cut short at its end: run the same command again")
    yield from unrecorded(root, manifest)
    plan, journal = Plan.of(root, manifest, options.deep), Journal(options.journal)
    total = Total(plan)
    with Keys(manifest) as keys:
        for task, found in in_order(tasks(plan, manifest, journal), options.workers):
            yield from found.mismatches
            if task.line and not found.mismatches:
                journal.note(task.line)
            keys.add(found.keys)
            total.add(task.what, found)
        if len(hashes := keys.repeated()):
            yield from repeated_keys(root, total.readable, hashes)
    yield from table_mismatches(plan, manifest, total)
    journal.remove()


def unrecorded(root: Path, manifest: Manifest) -> Iterator[Mismatch]:
    """Yield the files that lie among the dataset's and that nobody recorded; none where nothing is listed."""
    names = {record.path for record in recorded(manifest)}
    for folder in FOLDERS if can_list(root) else ():
        for path in sorted((root / folder).glob("*")):
            if (name := path.relative_to(root).as_posix()) not in names:
                yield Mismatch(name, "is not in the manifest")


@dataclass(frozen=True, kw_only=True)
class Task:
    """A file or a shard to look at."""

    plan: Plan
    what: FileRecord | Shard
    line: str | None  # its line in the journal
    known: bool  # by the journal

    def run(self) -> Found:
        """Look at it."""
        if isinstance(self.what, Shard):
            return check_shard(self.plan, self.what, self.known)
        return check_file(self.plan, self.what, self.known)


def tasks(plan: Plan, manifest: Manifest, journal: Journal) -> Iterator[Task]:
    """Yield what is to be looked at, of the files that lie in the dataset."""
    everything: list[FileRecord | Shard] = [*manifest.files, *manifest.shards]
    for what in everything:
        records = [what.tar, what.index] if isinstance(what, Shard) else [what]
        if all(inside(record.path) for record in records):
            line = line_for(plan.root, records, plan.deep) if journal.is_kept else None
            yield Task(plan=plan, what=what, line=line, known=line is not None and journal.knows(line))


def in_order(work: Iterable[Task], workers: int) -> Iterator[tuple[Task, Found]]:
    """Yield tasks and what they have found, in their order; few of them wait at a time."""
    if workers == 1:
        yield from ((task, task.run()) for task in work)
        return
    # Forked processes would inherit the locks of pyarrow's threads.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = deque[tuple[Task, Future[Found]]]()
        for task in work:
            waiting.append((task, pool.submit(task.run)))
            if len(waiting) == 2 * workers:
                done, future = waiting.popleft()
                yield done, future.result()
        yield from ((done, future.result()) for done, future in waiting)


class Total:
    """What is gathered of all files and shards."""

    def __init__(self, plan: Plan) -> None:
        self.reasons = Reasons()
        self.readable: list[Shard] = []  # those whose index can be relied on
        self.hits = np.zeros(plan.num_queries, np.int64)
        self.knows_hits = plan.deep

    def add(self, what: FileRecord | Shard, found: Found) -> None:
        """Take what was found in a file or in a shard."""
        self.reasons.update(found.reasons)
        if not isinstance(what, Shard):
            return
        if len(found.keys):
            self.readable.append(what)
        if found.hits is None:
            self.knows_hits = False
        else:
            terms, counts = found.hits
            self.hits[terms] += counts


def table_mismatches(plan: Plan, manifest: Manifest, total: Total) -> Iterator[Mismatch]:
    """Yield where tables of the whole dataset differ from the manifest and from what all shards hold."""
    root, names = plan.root, {record.path for record in manifest.files}
    extended = any(change.kind == "extend" for change in manifest.history)
    checks: list[tuple[str, Callable[[], Iterable[str]]]] = [
        (MANIFEST_NAME, lambda: funnel_problems(manifest, total.reasons)),
        ("shards/sizes.json", lambda: sizes_problems(root, manifest)),
        ("queries.parquet", lambda: query_problems(root, manifest)),
    ]
    if plan.deep:
        checks.append(("samples.parquet", lambda: sample_problems(root, total.reasons)))
    if plan.deep and "coverage.parquet" in names:
        checks.append(("coverage.parquet", lambda: coverage_problems(root)))
    if total.knows_hits:
        checks.append(("queries.parquet", lambda: hits_problems(root, total.hits, extended)))
    for path, problems in checks:
        found = Found()
        try:
            found.add(path, problems())
        except FileNotFoundError:
            continue  # which was said
        except UNREADABLE as error:
            found.add(path, [unreadable(error)])
        yield from found.mismatches
