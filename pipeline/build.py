"""MAIN PATH: the phases of a build, from search terms to a dataset, each reading and writing files.

    candidates -> matched -> [ demand -> selected -> fetched (-> scored) -> copies -> kept ]
                                -> supply -> ordered -> counted -> shards

The phases in brackets run once a round (`rounds`): in a further one, terms below their cap take from the
pairs that the rounds before have left out. A phase that has ended is not run again; one that was cut short
goes on with the parts that are missing. So the same command, after a crash or a kill, ends with the same
bytes.
"""

import time
from pathlib import Path

from manifests.checks import funnel_mismatches
from manifests.report import write_report
from manifests.schema import Manifest
from manifests.storage import remove_folder
from manifests.store import MANIFEST_NAME, clear_cut_short, read_manifest
from manifests.transfer import transfer
from pipeline import coverage, finish
from pipeline.balance import CountPerQuery, find_caps, read_caps
from pipeline.begin import begun
from pipeline.config import BuildConfig, RunOptions
from pipeline.crawl import Crawl
from pipeline.dedup import FindCopies
from pipeline.extend import completed
from pipeline.fetch.contact import check_contact
from pipeline.fetch.live import LiveFetch
from pipeline.fetch.stage import FetchUnits
from pipeline.job import Job, Phase, config_as_json
from pipeline.match import MatchCandidates
from pipeline.parts import Part, parts_in, rejection_files, sum_of
from pipeline.pool import Pool
from pipeline.progress import num_files, shown
from pipeline.references import ReferencePart, captions_of, read_references, references_of
from pipeline.rejected import gather
from pipeline.rounds import cap_of_round, final_pool, pool_of_round, room_beside, room_in_round
from pipeline.runners import run
from pipeline.score import ScorePictures, check_scores
from pipeline.select import SelectPairs
from pipeline.shards import KeepBest, OrderByKey, WriteShards, plan_shards
from pipeline.verdicts import judge_copies


def build(config: BuildConfig, options: RunOptions) -> Manifest:
    """Build the dataset, or go on with it; return its manifest. A finished one is left as it is.

    Raises ValueError for a request that cannot be met: no search terms, no source, another configuration than
    the one the directory was begun with.
    """
    with begun(config, options) as job:
        if (options.dataset / MANIFEST_NAME).exists():
            return completed(options.dataset, options.work_folder)
        if not (job.options.dataset / MANIFEST_NAME).exists():
            job.run_phases(FIND)
            job = run_rounds(job)
            job.run_phases(WRITE)
            publish(job)
        return hand_over(job, options.dataset)


def run_rounds(job: Job) -> Job:
    """Fetch, round after round, until no term is starved; return the job at its last round."""
    for number in range(1, job.config.rounds + 1):
        this = job.at_round(number)
        this.run_phases(SELECT)
        if number > 1 and not this.parts("selected"):
            break
        this.run_phases(fetch_phases(this.config))
        job = this
    return job


def references(job: Job) -> list[ReferencePart]:
    """Return what must not be in the dataset: evaluation sets, earlier datasets; read once."""
    workers = 1 if job.options.cluster.remote else job.options.workers  # these are read on this machine
    return read_references(references_of(job.config.dedup), job.folder("references"), workers)


def crawl(job: Job, out: Path) -> None:
    """Ask every source for candidates."""
    work = Crawl(job.config.sources, job.queries, job.network, out)
    job.run_beam(work, "candidates", work.num_units)


def match(job: Job, out: Path) -> None:
    """Match captions against the search terms, screen them, drop repeats."""
    evaluated = captions_of(references(job))
    work = MatchCandidates(job.parts("candidates"), job.queries, job.config, evaluated, out)
    job.run_beam(work, "matched")


def find_demand(job: Job, out: Path) -> None:
    """Find what each term may take in this round: more than it lacks, since pictures will be lost."""
    find_caps(job.parts("matched"), pool_of_round(job), room_in_round(job, out), out, job.runner("demand"))


def select(job: Job, out: Path) -> None:
    """Let the terms choose, and cut what they accept into units of work by host."""
    units = SelectPairs(
        job.parts("matched"), cap_of_round(job), job.config.fetch.pairs_per_unit, out, job.suffix
    )
    job.run_beam(units, "selected")


def fetch(job: Job, out: Path) -> None:
    """Download, check, decode, resize, encode and hash; units that are there are not fetched again."""
    # All rounds stage into one folder; the names of their units tell them apart.
    tallies = out / f"tally-{time.time_ns()}"
    units = job.parts("selected")
    there = {part.name for part in parts_in(out)}
    missing = [unit for unit in units if unit.name not in there]
    check_contact(missing, job.config, job.network)
    names = [unit.name for unit in missing]
    stage = FetchUnits(
        names, job.folder("selected"), out, job.config, job.network, tallies, job.options.workers
    )
    live = LiveFetch(tallies)
    with shown("fetched", " pairs", sum_of(missing), live.num_done, job.options.quiet, live.note):
        run(stage, job.options.workers, job.options.cluster)
    remove_folder(tallies)


def score(job: Job, out: Path) -> None:
    """Score pictures by the configured models, and drop those whose scores break a limit."""
    check_scores(job.config.scores)
    units = job.parts("fetched")
    job.run_beam(ScorePictures(units, job.config.scores, out), "scored", len(units))


def find_copies(job: Job, out: Path) -> None:
    """Find pictures that are copies of better ones."""
    pictures = [*job.base_parts(), *references(job), *job.parts(job.pictures)]
    job.run_beam(FindCopies(pictures, job.config.dedup, out), "copies")
    judge_copies(out, out / "verdicts")


def keep_best(job: Job, out: Path) -> None:
    """Leave out the copies."""
    parts = job.parts(job.pictures)
    job.run_beam(KeepBest(parts, job.folder("copies") / "verdicts", out), "kept", len(parts))


def count_supply(job: Job, out: Path) -> None:
    """Find each term's cap among what is left."""
    room = room_beside(job.had_parts(), job, "supply", out)
    find_caps(job.parts("kept"), final_pool(job), room, out, job.runner("supply"))


def order(job: Job, out: Path) -> None:
    """Apply that cap, and put the pairs in the order of their keys, which is a shuffle."""
    caps = read_caps(job.folder("supply"), final_pool(job), job.config.cap.max_pairs_per_query)
    selection = cap_of_round(job) if job.round > 1 else None
    job.run_beam(OrderByKey(job.parts("kept"), caps, out, selection), "ordered")


def count_kept(job: Job, out: Path) -> None:
    """Count what each term has tried to fetch, and what it has in the end."""
    for name, parts in (("tried", selected_parts(job)), ("kept", job.parts("ordered"))):
        job.run_beam(CountPerQuery(parts, Pool(), len(job.queries), out / name), "counted")


def write_shards(job: Job, out: Path) -> None:
    """Write tars and their indexes into the dataset."""
    plans = plan_shards(job.parts("ordered"), job.config.pairs_per_shard, first=job.next_shard)
    index = job.options.dataset / "index"
    with shown("shards", " shards", len(plans), num_files(index), job.options.quiet):
        work = WriteShards(plans, job.folder("fetched"), job.options.dataset, out)
        run(work, job.options.workers, job.options.cluster)


FIND: dict[str, Phase] = {"candidates": crawl, "matched": match}
SELECT: dict[str, Phase] = {"demand": find_demand, "selected": select}
FETCH: dict[str, Phase] = {"fetched": fetch, "scored": score, "copies": find_copies, "kept": keep_best}
WRITE: dict[str, Phase] = {
    "supply": count_supply,
    "ordered": order,
    "counted": count_kept,
    "shards": write_shards,
}

PHASE_AFTER = {
    "crawl": "candidates",
    "distinct": "matched",
    "image": "fetched",
    "dedup": "kept",
    "final_cap": "ordered",
}


def fetch_phases(config: BuildConfig) -> dict[str, Phase]:
    """Return the phases of a round after its selection; pictures are scored only where models are given."""
    return {name: phase for name, phase in FETCH.items() if name != "scored" or config.scores.onnx}


def selected_parts(job: Job) -> list[Part]:
    """Return what all rounds have selected."""
    return [part for number in range(1, job.round + 1) for part in job.at_round(number).parts("selected")]


def hand_over(job: Job, dataset: Path) -> Manifest:
    """Copy the dataset to where it belongs, where it was built on this machine; return its manifest."""
    if job.options.dataset != dataset:
        transfer(job.options.dataset, dataset, job.options.work_folder / "transferred.txt")
        remove_folder(job.options.dataset)
    return read_manifest(dataset)


def publish(job: Job) -> None:
    """Gather what the phases left into the dataset; write its manifest and its report."""
    dataset = job.options.dataset
    clear_cut_short(dataset)
    # Of phases that run once a round, the last has the last word on what is dropped.
    phases = (*FIND, *SELECT, *FETCH, *WRITE)
    rejections = [path for name in phases for path in rejection_files(job.folder(name))]
    shards = tuple(
        finish.read_shards([part.name for part in parts_in(dataset / "index")], dataset, job.folder("shards"))
    )
    tables, dropped, samples = gather(rejections, dataset, job.folder("rejected"), job.runner("rejected"))
    files = (
        *coverage.write_coverage(job, dataset),
        finish.write_sizes(shards, dataset),
        finish.write_samples(samples, job.folder("fetched"), dataset),
        *tables,
    )
    stages = finish.funnel(dropped, sum_of(job.parts("candidates")))
    assert not (wrong := funnel_mismatches(stages)), wrong
    for stage in stages:
        # What a phase has handed on, counted where it lies, must be what its rejections leave.
        if phase := PHASE_AFTER.get(stage.stage):
            assert stage.num_out == sum_of(job.parts(phase)), (stage, phase)
        assert stage.stage != "score" or stage.num_out == sum_of(job.parts(job.pictures)), stage
        assert stage.stage != "cap" or stage.num_out == sum_of(selected_parts(job)), stage
    sources = finish.source_records(job.config.sources, job.parts("candidates"))
    finish.publish(
        dataset, config_as_json(job.config), job.queries, stages, shards, files, sources, job.begun_at
    )
    write_report(dataset)
