"""New terms or a new crawl for a finished dataset: a build of what it does not have, into new shards.

    candidates -> known -> matched -> the rounds and the end of a build

What differs from a build: terms are numbered after those that are there, services that were asked for these
are asked for the new ones alone, no known URL is fetched again, and what the dataset holds already counts for
every cap, also for terms that are new (see `rematch`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from filters.do_not_fetch import read_do_not_fetch
from filters.queries import MatchMode, comparable, queries_sha256
from manifests.locks import held
from manifests.places import Place
from manifests.schema import Manifest
from manifests.store import read_manifest
from pipeline.addition import Addition, publish_extension
from pipeline.blocks import num_buckets_for
from pipeline.build import FETCH, SELECT, WRITE, references, run_rounds
from pipeline.changed import flat
from pipeline.config import BuildConfig, RunOptions
from pipeline.crawl import Crawl
from pipeline.extend import EXTEND, Extension, config_of, open_extension
from pipeline.fetch.peer import check_engine
from pipeline.job import Job, Phase, config_as_json
from pipeline.known import FindKnown, Known, asked_of, num_asked
from pipeline.match import MatchCandidates
from pipeline.parts import count_rejections, rejection_files, sum_of
from pipeline.records import Query
from pipeline.references import captions_of
from pipeline.rematch import NewTerms
from pipeline.score import check_scores
from pipeline.sources import Sources
from pipeline.terms import read_terms

# What an addition may have otherwise than the dataset. The rest says how pairs are judged and stored, which
# is the same in all of a dataset.
MAY_DIFFER = ("queries", "sources.", "url.", "fetch.", "cap.", "rounds", "pairs_per_shard")


@dataclass(frozen=True, kw_only=True)
class ExtendRequest:
    """What is added to a dataset, and how."""

    extend: Place
    """A finished dataset. Its shards stay as they are; what is gained goes into new ones."""
    config: Annotated[BuildConfig, tyro.conf.arg(name="")] = field(default_factory=BuildConfig)
    work: Place | None = None
    """Folder of this machine for the addition's own files, needed where the dataset lies elsewhere."""
    workers: int = 1
    """Processes. 1 runs everything in this one."""
    connect_to: tuple[str, ...] = ()
    """HOST=ADDRESS:PORT: where names are really served."""
    sample_web: Path | None = None
    """Serve the sample web from this folder while the addition runs."""
    quiet: bool = False
    """No progress bars."""

    @property
    def run(self) -> RunOptions:
        """How this run works."""
        return RunOptions(
            dataset=self.extend,
            work=self.work,
            workers=self.workers,
            connect_to=self.connect_to,
            sample_web=self.sample_web,
            quiet=self.quiet,
        )


def defaults_of(dataset: Path, *, new_terms: bool) -> BuildConfig:
    """Return the configuration that an addition begins with: the dataset's own. Where there are `new_terms`,
    they are looked for where its terms were; otherwise the addition must say where to look."""
    config = config_of(read_manifest(dataset))
    return replace(config, queries="", sources=config.sources if new_terms else Sources())


def extend(config: BuildConfig, options: RunOptions) -> Manifest:
    """Add to the dataset of `options` what a configuration finds besides, or go on with that; return its new
    manifest. `config.queries` lists new terms; those that the dataset has are passed over.

    Raises ValueError for a request that cannot be met.
    """
    read_manifest(options.dataset)
    check_engine(config)
    check_scores(config.scores)
    read_do_not_fetch(config.fetch.do_not_fetch)
    with held(options.dataset, options.work):
        extension = open_extension(options.dataset, options.work_folder)
        asked, terms = _request(extension, config)
        extension.begin(asked)
        job = replace(extension.job(config, options), queries=terms)
        num_old = extension.manifest.num_queries
        if num_old < len(terms):
            path = extension.folder / "work" / "new_terms.txt"
            new = NewTerms.write(terms, num_old, config.match_mode, path)
            job = replace(job, new_terms=new)
        job.run_phases(FIND_MORE)
        job = run_rounds(job)
        job.run_phases(WRITE)
        addition = Addition(kind=EXTEND, request=asked, num_tried=_num_found(job))
        return publish_extension(extension, job, (*FIND_MORE, *SELECT, *FETCH, *WRITE), addition)


def _request(extension: Extension, config: BuildConfig) -> tuple[dict[str, Any], list[Query]]:
    """Return what is asked for, as it stands in the manifest, and all terms. Raises ValueError for nothing,
    or what no addition may change."""
    terms = all_terms(extension.queries(), config.queries, config.match_mode)
    num_new = len(terms) - extension.manifest.num_queries
    changed = changed_settings(extension.config, config, extension.dataset)
    on = [name for name, source in config.sources.by_name().items() if source.units(terms)]
    if not on or (config.queries and not num_new):
        lacking = "it has all these terms" if on else "no source says where to look"
        raise ValueError(
            f"nothing to add to {extension.dataset}: {lacking}. Next: give --queries FILE with new terms, or "
            "a source its place, as --table.paths FILE"
        )
    digest = queries_sha256([query.text for query in terms])
    asked = {"sources": on, "settings": changed, "num_new_queries": num_new, "queries_sha256": digest}
    return asked, terms


def all_terms(old: list[Query], path: str, mode: MatchMode) -> list[Query]:
    """Return a dataset's terms and, numbered after them, those of a file that find something else."""
    had = {comparable(query.text, mode) for query in old}
    listed = read_terms(Path(path), mode) if path else []
    new = [query for query in listed if comparable(query.text, mode) not in had]
    return [*old, *(replace(query, query_id=n) for n, query in enumerate(new, start=len(old)))]


def changed_settings(built: BuildConfig, config: BuildConfig, dataset: Path) -> dict[str, Any]:
    """Return the settings that differ, those of sources that are off now aside. Raises ValueError at one that
    must not."""
    before, now = (flat(config_as_json(each)) for each in (built, config))
    sources, off = config.sources.by_name(), Sources().by_name()
    is_off = tuple(f"sources.{name}." for name, source in sources.items() if source == off[name])
    changed = {
        name: value
        for name, value in now.items()
        if value != before[name] and name != "queries" and not name.startswith(is_off)
    }
    for name, value in changed.items():
        if not name.startswith(MAY_DIFFER):
            raise ValueError(
                f"{dataset} was built with {name} = {before[name]!r}, now it is {value!r}: what is added is "
                "judged and stored as the rest. Next: leave it out, or build another dataset"
            )
    return changed


def find_more(job: Job, out: Path) -> None:
    """Ask every source for candidates: one that is asked as before, for the new terms alone."""
    assert job.base is not None
    built = config_of(job.base.manifest).sources if job.new_terms else Sources()
    same, other = split_sources(built, job.config.sources)
    first_new = job.new_terms.first if job.new_terms else len(job.queries)
    for sources, queries in ((other, job.queries), (same, job.queries[first_new:])):
        work = Crawl(sources, queries, job.network, out)
        if queries and work.num_units:
            job.run_beam(work, "candidates", work.num_units)


def split_sources(built: Sources, now: Sources) -> tuple[Sources, Sources]:
    """Return the sources whose settings are as they were built with, and the others; the rest of each are
    off."""
    off = Sources()
    same = {source.name: getattr(built, source.name) == getattr(now, source.name) for source in fields(now)}
    chosen: Mapping[bool, dict[str, Any]] = {
        which: {name: getattr(now if same[name] is which else off, name) for name in same}
        for which in (True, False)
    }
    return Sources(**chosen[True]), Sources(**chosen[False])


def find_known(job: Job, out: Path) -> None:
    """Write down which URLs the dataset has asked for, kept or not."""
    assert job.base is not None
    parts = asked_of(job.base.root, job.base.manifest)
    job.run_beam(FindKnown(parts, _num_buckets(job), out), "known")


def match_more(job: Job, out: Path) -> None:
    """Match captions against all terms, screen them, drop repeats and what was asked for before."""
    assert job.base is not None
    captions = tuple(asked_of(job.base.root, job.base.manifest, and_common=True))
    known = Known(job.folder("known"), _num_buckets(job), captions)
    evaluated = captions_of(references(job))
    work = MatchCandidates(job.parts("candidates"), job.queries, job.config, evaluated, out, known)
    job.run_beam(work, "matched")


FIND_MORE: dict[str, Phase] = {"candidates": find_more, "known": find_known, "matched": match_more}


def _num_buckets(job: Job) -> int:
    assert job.base is not None
    return num_buckets_for(sum_of(job.parts("candidates")) + num_asked(job.base.manifest))


def _num_found(job: Job) -> int:
    """Return how many records came in, those included that were none."""
    refused = count_rejections(rejection_files(job.folder("candidates")))
    return sum_of(job.parts("candidates")) + sum(refused.values())
