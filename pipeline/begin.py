"""The beginning of a build: a directory is given to a configuration, or has it, or is changed to another."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filters.checks import screen_caption
from filters.do_not_fetch import read_do_not_fetch
from filters.queries import queries_sha256
from manifests.dates import now
from manifests.locks import held
from manifests.schema import SCHEMA_VERSION
from manifests.storage import entries, make_folder
from manifests.store import MANIFEST_NAME, read_manifest, write_bytes
from pipeline.changed import Rerun, compare, flat, take_over, undo
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.peer import check_engine
from pipeline.job import BEGUN, Job, config_as_json
from pipeline.reach import check_reach
from pipeline.records import Query
from pipeline.references import references_of
from pipeline.score import check_scores
from pipeline.terms import read_terms

SETTINGS = "config.json"  # what a build was begun with


@contextmanager
def begun(config: BuildConfig, options: RunOptions) -> Iterator[Job]:
    """Read the search terms, hold the directory for this process alone and check that it is this build's."""
    if not config.queries:
        raise ValueError("no search terms: give --queries FILE, one term per line")
    if not Path(config.queries).is_file():
        raise ValueError(f"queries: {config.queries} is not a file")
    # A missing language model or word list is found here, before anything is spent.
    screen_caption("any caption", config.text)
    check_engine(config)
    check_scores(config.scores)
    read_do_not_fetch(config.fetch.do_not_fetch)
    references_of(config.dedup)  # so is a path that is not there
    check_reach(config, options)
    queries = read_terms(Path(config.queries), config.match_mode)
    work = options.work_folder
    try:
        make_folder(work)
    except OSError as error:
        flag, place = ("work", options.work) if options.work else ("dataset", options.dataset)
        raise ValueError(
            f"{flag}: {place} cannot be made ({error.strerror}): give another --{flag}"
        ) from error
    with held(options.dataset, options.held_work):
        _begin_or_go_on(config, options, queries)
        yield Job(config, replace(options, dataset=options.grows_at), queries)


def _begin_or_go_on(config: BuildConfig, options: RunOptions, queries: list[Query]) -> None:
    """Give the directory to this configuration, or see that it has it; change it where that is asked for."""
    work, settings = options.work_folder, config_as_json(config) | {"queries_sha256": _sha256_of(queries)}
    begun, finished = (
        _begun_with(options),
        any((place / MANIFEST_NAME).exists() for place in (options.dataset, options.grows_at)),
    )
    if begun is None:
        _check_sources(config, queries)
        _check_nothing_there(options.dataset)
        if options.reuse:
            _take_over(options.reuse, settings, options)
        write_bytes(work / BEGUN, json.dumps({"at": now(), "schema_version": SCHEMA_VERSION}).encode())
        write_bytes(work / SETTINGS, json.dumps(settings, indent=1).encode())
        return
    if not finished:
        _check_format(work / BEGUN, options.dataset)
    if (rerun := compare(begun, flat(settings), _off(), finished=finished)).differences:
        if finished or options.config == "same":
            raise ValueError(_refusal(rerun, options, finished))
        _check_sources(config, queries)
        _say(rerun, work)
        undo(rerun, work, options.grows_at)
        write_bytes(work / SETTINGS, json.dumps(settings, indent=1).encode())


def _sha256_of(queries: list[Query]) -> str:
    return queries_sha256([query.text for query in queries])


def _off() -> dict[str, Any]:
    return flat(config_as_json(BuildConfig()))


def _begun_with(options: RunOptions) -> dict[str, Any] | None:
    """Return the flat settings that a directory was begun with, None for a new one."""
    path = options.work_folder / SETTINGS
    if path.exists():
        return flat(json.loads(path.read_bytes()))
    # Its work folder may be deleted once a dataset is there.
    there = (options.dataset / MANIFEST_NAME).exists()
    return flat(read_manifest(options.dataset).config) if there else None


def _take_over(reused: Path, settings: dict[str, Any], options: RunOptions) -> None:
    """Begin with what stays of another build's work, and say what does. Raises ValueError for none."""
    old = reused / "work"
    if not (old / SETTINGS).exists():
        raise ValueError(f"reuse: {reused} holds no work folder of a build: leave --reuse out")
    with held(reused):
        _check_format(old / BEGUN, reused)
        begun = flat(json.loads((old / SETTINGS).read_bytes())) | {"dataset": str(reused)}
        rerun = compare(begun, flat(settings) | {"dataset": str(options.dataset)}, _off())
        _say(rerun, old)
        take_over(rerun, old, options.work_folder)


def _say(rerun: Rerun, work: Path) -> None:
    print("\n".join(rerun.lines(work)), flush=True)


def _refusal(rerun: Rerun, options: RunOptions, finished: bool) -> str:
    """Return what is said where a directory was begun with other settings."""
    found, work = rerun.differences[0], options.work_folder
    others = f" and {len(rerun.differences) - 1} more settings" if len(rerun.differences) > 1 else ""
    in_place = "--config changed for that, the same settings, or another --dataset"
    beside = f"it is finished and stays as it is; give another --dataset, and --reuse {options.dataset}"
    return (
        f"{options.dataset} was begun with {found.name} = {found.before!r}, now it is {found.now!r}{others}: "
        f"{', '.join(rerun.again)} must run again ({rerun.num_fetched_again(work):,} pairs fetched again), "
        f"{', '.join(rerun.stays(work)) or 'nothing'} can stay. Next: {beside if finished else in_place}"
    )


def _check_sources(config: BuildConfig, queries: list[Query]) -> None:
    """Look at the sources before a directory is given to this configuration. Raises ValueError."""
    units = [source.units(queries) for source in config.sources.by_name().values()]
    if not any(units):
        known = ", ".join(config.sources.by_name())
        raise ValueError(
            f"no source says where to look: give one of {known} its place, as --table.paths FILE"
        )


def _check_nothing_there(dataset: Path) -> None:
    """Refuse to mix a build's shards with others: of one whose work folder is lost, or of somebody else."""
    if not (dataset / MANIFEST_NAME).exists():
        for folder in ("shards", "index"):
            # Not what killed processes were writing (".00000.tar.77.tmp"), which is cleared away at the end.
            if there := next(iter(entries(dataset / folder, "[!.]*.*")), None):
                raise ValueError(
                    f"{there} is there already, of no dataset and not of this build: remove it with what is "
                    "beside it, or give another --dataset"
                )


def _check_format(path: Path, dataset: Path) -> None:
    """Refuse to go on with a build whose rows lie in the columns of another version."""
    if not path.exists() or json.loads(path.read_bytes())["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{dataset} was begun by another version of openwit, whose files this one cannot go on with: "
            "finish it with that version, or give another --dataset"
        )
