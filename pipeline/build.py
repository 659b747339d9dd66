"""MAIN PATH: the phases of a build, from search terms to a dataset, each reading and writing files.

    candidates -> matched -> demand -> selected -> fetched -> copies -> kept -> supply -> ordered -> shards

A phase that has ended is not run again; one that was cut short goes on with the parts that are missing. So
the same command, after a crash or a kill, ends with the same bytes.
"""

import fcntl
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam

from filters.checks import screen_caption
from manifests.report import write_report
from manifests.schema import Manifest
from manifests.store import MANIFEST_NAME, read_manifest, write_bytes
from manifests.verify import funnel_mismatches
from pipeline import finish
from pipeline.balance import Caps, CountPerQuery
from pipeline.config import BuildConfig, RunOptions
from pipeline.crawl import Crawl
from pipeline.dedup import FindCopies, judge_copies
from pipeline.fetch.stage import FetchUnits
from pipeline.limits import Network
from pipeline.match import MatchCandidates
from pipeline.parts import Part, parts_in, rejection_files, sum_of
from pipeline.progress import num_files, shown, total_of
from pipeline.records import Query
from pipeline.runners import run
from pipeline.select import SelectPairs
from pipeline.shards import KeepBest, OrderByKey, WriteShards, plan_shards
from pipeline.terms import read_terms


def build(config: BuildConfig, options: RunOptions) -> Manifest:
    """Build the dataset, or go on with it; return its manifest. A finished one is left as it is.

    Raises ValueError for a request that cannot be met: no search terms, no source, another configuration than
    the one the directory was begun with.
    """
    with _begun(config, options) as job:
        if (options.dataset / MANIFEST_NAME).exists():
            return read_manifest(options.dataset)
        for name, phase in PHASES.items():
            job.run_phase(name, phase)
        return job.publish()


@dataclass(frozen=True)
class Job:
    """One build under way: what it builds, how, and where its phases lie."""

    config: BuildConfig
    options: RunOptions
    queries: list[Query]

    @property
    def network(self) -> Network:
        """How this run reaches hosts."""
        return Network(connect_to=self.options.connect_to, contact=self.config.fetch.contact)

    def folder(self, phase: str) -> Path:
        """Return where a phase writes."""
        return self.options.dataset / "work" / phase

    def parts(self, phase: str) -> list[Part]:
        """Return what a finished phase has written."""
        return parts_in(self.folder(phase))

    def run_phase(self, name: str, phase: "Phase") -> None:
        """Run a phase unless it has ended, and mark it as ended."""
        folder = self.folder(name)
        done = folder / "_done"
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            phase(self, folder)
            write_bytes(done, b"")

    def run_beam(self, transform: beam.PTransform, label: str, total: int | None = None) -> None:
        """Run a transform that writes parts into the phase's folder, and show how many are there."""
        counted = num_files(self.folder(label))
        with shown(label, " files", total, counted, self.options.quiet):
            run(transform, self.options.workers)

    def publish(self) -> Manifest:
        """Gather what the phases left into the dataset; write its manifest and its report."""
        dataset, rejections = (
            self.options.dataset,
            [p for name in PHASES for p in rejection_files(self.folder(name))],
        )
        ordered = self.parts("ordered")
        shards = tuple(finish.read_shards([part.name for part in parts_in(dataset / "index")], dataset))
        files = (
            finish.write_queries(self.queries, self.folder("demand"), ordered, dataset),
            finish.write_sizes(shards, dataset),
            finish.write_samples(rejections, self.folder("fetched"), dataset),
            *finish.write_rejections(rejections, dataset),
        )
        stages = finish.funnel(rejections, sum_of(self.parts("candidates")))
        assert not (wrong := funnel_mismatches(stages)), wrong
        for stage in stages:
            # What a phase has handed on, counted where it lies, must be what its rejections leave.
            if phase := PHASE_AFTER.get(stage.stage):
                assert stage.num_out == sum_of(self.parts(phase)), (stage, phase)
        manifest = finish.publish(dataset, config_as_json(self.config), self.queries, stages, shards, files)
        write_report(dataset)
        return manifest


Phase = Callable[[Job, Path], None]


def crawl(job: Job, out: Path) -> None:
    """Ask every source for candidates."""
    work = Crawl(job.config.sources, job.queries, job.network, out)
    job.run_beam(work, "candidates", work.num_units)


def match(job: Job, out: Path) -> None:
    """Match captions against the search terms, screen them, drop repeats."""
    job.run_beam(MatchCandidates(job.parts("candidates"), job.queries, job.config, out), "matched")


def count_demand(job: Job, out: Path) -> None:
    """Find each term's cap before fetching: higher, since some pictures will be lost on the way."""
    cap = job.config.cap
    job.run_beam(
        CountPerQuery(job.parts("matched"), int(cap.max_pairs_per_query * cap.oversample), out), "demand"
    )


def select(job: Job, out: Path) -> None:
    """Apply that cap, and cut what is left into units of work by host."""
    cap = job.config.cap
    caps = Caps.read(job.folder("demand"), int(cap.max_pairs_per_query * cap.oversample))
    job.run_beam(SelectPairs(job.parts("matched"), caps, job.config.fetch.pairs_per_unit, out), "selected")


def fetch(job: Job, out: Path) -> None:
    """Download, check, decode, resize, encode and hash; units that are there are not fetched again."""
    tallies = out / f"tally-{time.time_ns()}"
    units = job.parts("selected")
    missing = [unit for unit in units if not Part(out, unit.name).path.exists()]
    names = [unit.name for unit in units]
    stage = FetchUnits(
        names, job.folder("selected"), out, job.config, job.network, tallies, job.options.workers
    )
    with shown("fetched", " pairs", sum_of(missing), lambda: total_of(tallies), job.options.quiet):
        run(stage, job.options.workers)
    shutil.rmtree(tallies, ignore_errors=True)


def find_copies(job: Job, out: Path) -> None:
    """Find pictures that are copies of better ones."""
    job.run_beam(FindCopies(job.parts("fetched"), job.config.dedup.max_distance, out), "copies")
    judge_copies(out, out / "verdicts")


def keep_best(job: Job, out: Path) -> None:
    """Leave out the copies."""
    parts = job.parts("fetched")
    job.run_beam(KeepBest(parts, job.folder("copies") / "verdicts", out), "kept", len(parts))


def count_supply(job: Job, out: Path) -> None:
    """Find each term's exact cap among what is left."""
    job.run_beam(CountPerQuery(job.parts("kept"), job.config.cap.max_pairs_per_query, out), "supply")


def order(job: Job, out: Path) -> None:
    """Apply the exact cap, and put the pairs in the order of their keys, which is a shuffle."""
    caps = Caps.read(job.folder("supply"), job.config.cap.max_pairs_per_query)
    job.run_beam(OrderByKey(job.parts("kept"), caps, out), "ordered")


def write_shards(job: Job, out: Path) -> None:
    """Write tars and their indexes into the dataset."""
    plans = plan_shards(job.parts("ordered"), job.config.pairs_per_shard)
    index = job.options.dataset / "index"
    with shown("shards", " shards", len(plans), num_files(index), job.options.quiet):
        run(WriteShards(plans, job.folder("fetched"), job.options.dataset), job.options.workers)


PHASES: dict[str, Phase] = {
    "candidates": crawl,
    "matched": match,
    "demand": count_demand,
    "selected": select,
    "fetched": fetch,
    "copies": find_copies,
    "kept": keep_best,
    "supply": count_supply,
    "ordered": order,
    "shards": write_shards,
}

PHASE_AFTER = {
    "crawl": "candidates",
    "distinct": "matched",
    "cap": "selected",
    "image": "fetched",
    "dedup": "kept",
    "final_cap": "ordered",
}


def config_as_json(config: BuildConfig) -> dict[str, Any]:
    """Return the configuration as it stands in a manifest."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


@contextmanager
def _begun(config: BuildConfig, options: RunOptions) -> Iterator[Job]:
    """Read the search terms, hold the directory for this process alone and check that it is this build's."""
    if not config.queries:
        raise ValueError("no search terms: give --queries FILE, one term per line")
    if not Path(config.queries).is_file():
        raise ValueError(f"queries: {config.queries} is not a file")
    # A missing language model or word list is found here, before anything is spent.
    screen_caption("any caption", config.text)
    queries = read_terms(Path(config.queries), config.match_mode)
    work = options.dataset / "work"
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"dataset: {options.dataset} cannot be made ({error.strerror}): give another --dataset"
        ) from error
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another build is at work in {options.dataset}") from error
        if not (work / "config.json").exists():
            _check_sources(config, queries)
            write_bytes(work / "config.json", json.dumps(config_as_json(config), indent=1).encode())
        _check_same_config(work / "config.json", config_as_json(config), options.dataset)
        yield Job(config, options, queries)


def _check_sources(config: BuildConfig, queries: list[Query]) -> None:
    """Look at the sources before a directory is given to this configuration. Raises ValueError."""
    units = [source.units(queries) for source in config.sources.by_name().values()]
    if not any(units):
        raise ValueError(
            "no source says where to look: give --commons.endpoint, --table.paths or --folder.paths"
        )


def _check_same_config(path: Path, config: dict[str, Any], dataset: Path) -> None:
    begun = _flat(json.loads(path.read_bytes()))
    for name, value in _flat(config).items():
        if begun.get(name) != value:
            raise ValueError(
                f"{dataset} was begun with {name} = {begun.get(name)!r}, now it is {value!r}: "
                "go on with the same settings, or give another --dataset"
            )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
