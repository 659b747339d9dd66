"""A build that says what its driver does: `python -m tests.bench.scale_build pictures|rows ...`.

`pictures` is a build as it is. In `rows` everything runs but the fetch, whose results are made up, so that
many rows go through matching, caps, the search for copies, ordering and shards without a web: a fifth of the
pairs is lost, three tenths of the rest are copies, and each picture is a few hundred bytes.

Of each phase: seconds by the clock, CPU seconds of this process (the driver), how many of those while Beam
ran, CPU seconds of all others, and the largest resident set of this process.
"""

import ctypes
import io
import json
import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
from PIL import Image

import pipeline.build
import pipeline.job
from filters.reasons import Drop, Reason
from manifests.store import read_manifest, write_bytes
from pipeline import rejected, runners
from pipeline.begin import begun
from pipeline.build import FIND, SELECT, WRITE, fetch_phases, publish
from pipeline.clusters import Runner
from pipeline.config import BuildConfig, Cap, RunOptions
from pipeline.job import Job
from pipeline.limits import Fetch
from pipeline.parts import Part, sum_of, write_part
from pipeline.records import IMAGE_SCHEMA, reject
from pipeline.sources import Sources
from pipeline.sources.table import Table
from pipeline.tar import append_member, end_tar
from tests.bench.neardup import resident_mb

PR_SET_CHILD_SUBREAPER = 36
LOST, COPIES = 0.2, 0.3
REAPING_S = 2.0


@dataclass
class Took:
    """What a phase took."""

    wall_s: float = 0.0
    driver_s: float = 0.0
    beam_s: float = 0.0  # of driver_s
    others_s: float = 0.0
    peak_mb: float = 0.0


@dataclass
class Meter:
    """Measures phases, one after the other."""

    phases: dict[str, Took] = field(default_factory=dict)
    beam_s: float = 0.0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure what the body does."""
        Path("/proc/self/clear_refs").write_text("5")  # the largest resident set begins anew
        reap()
        wall, cpu, others, beam_s = time.perf_counter(), time.process_time(), cpu_of_others(), self.beam_s
        yield
        took = Took(time.perf_counter() - wall, time.process_time() - cpu, self.beam_s - beam_s)
        reap()
        took.others_s, took.peak_mb = cpu_of_others() - others, resident_mb()
        self.phases[name] = took

    def run(self, transform: beam.PTransform, workers: int, cluster: Runner | None = None) -> None:
        """Run a transform as a build does, and count what the driver does meanwhile."""
        before = time.process_time()
        runners.run(transform, workers, cluster)
        self.beam_s += time.process_time() - before


def cpu_of_others() -> float:
    """Return the CPU seconds of all processes below this one: its children, and theirs that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    alive = 0
    for pid in children_of(os.getpid()):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        alive += sum(map(int, fields[11:15]))  # its own, and that of its ended children
    return usage.ru_utime + usage.ru_stime + alive / os.sysconf("SC_CLK_TCK")


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has begun, or been left with."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def reap() -> None:
    """Wait until nothing is at work below this process: workers end, and the one that they are forked from
    stays for the whole build."""
    deadline = time.monotonic() + REAPING_S
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not any(children_of(child) for child in children_of(os.getpid())):
            return
        time.sleep(0.01)


def config_of(table: str, queries: str) -> BuildConfig:
    """Return the settings of both kinds of build."""
    return BuildConfig(
        queries=queries,
        sources=replace(Sources(), table=Table(paths=(table,))),
        fetch=Fetch(contact="bench@example.org", per_host_concurrency=64, per_host_interval_s=0.0),
        cap=Cap(max_pairs_per_query=10_000_000),
        pairs_per_shard=5_000,
    )


def made_up(job: Job) -> None:
    """Write what the fetch would leave, had it fetched pictures of a few hundred bytes."""
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "JPEG")
    folder = job.folder("fetched")
    folder.mkdir(parents=True)
    for number, unit in enumerate(job.parts("selected")):
        with (folder / f"{unit.name}.tar").open("wb") as tar:
            offset = append_member(tar, "picture.jpg", picture.getvalue())
            end_tar(tar)
        write_made_up(unit, number, folder, offset, len(picture.getvalue()))
    write_bytes(folder / "_done", b"")


def write_made_up(unit: Part, number: int, folder: Path, offset: int, num_bytes: int) -> None:
    """Write the pictures of one unit, and what of it was lost."""
    rng, pairs = np.random.default_rng(number), unit.rows()
    lost = rng.random(len(pairs)) < LOST
    dropped = pairs.filter(pa.array(lost)).to_pylist()
    rejections = [reject("fetch", Drop(Reason.TIMEOUT, "no answer in 10 s"), row) for row in dropped]
    pairs = pairs.filter(pa.array(~lost))
    hashes = rng.integers(0, 2**64, len(pairs), dtype=np.uint64)
    copies = np.flatnonzero(rng.random(len(pairs)) < COPIES)
    hashes[copies] = hashes[rng.integers(0, max(1, len(pairs)), len(copies))]
    digests = [rng.bytes(32).hex() for _ in range(len(pairs))]
    same = {
        "unit": unit.name,
        "offset": offset,
        "num_bytes": num_bytes,
        **dict.fromkeys(("width", "height"), 64),
        **dict.fromkeys(("original_width", "original_height"), 640),
        "original_bytes": 90_000,
        "colours": "80" * 48,
        "http_status": 200,
        "robots": "allowed",
        "fetched_at": datetime.now(UTC).replace(microsecond=0),
    }
    columns = {"phash": pa.array(hashes), "sha256": pa.array(digests), "key": [d[:26] for d in digests]}
    columns |= {name: pa.repeat(pa.scalar(value), len(pairs)) for name, value in same.items()}
    rows = [pairs[f.name] if f.name in pairs.column_names else columns.get(f.name) for f in IMAGE_SCHEMA]
    filled = [pa.nulls(len(pairs)) if column is None else column for column in rows]
    write_part(folder, unit.name, pa.table(filled, names=IMAGE_SCHEMA.names).cast(IMAGE_SCHEMA), rejections)


def build(kind: str, config: BuildConfig, options: RunOptions, meter: Meter) -> dict[str, int]:
    """Build, phase by phase; return how many rows there were."""
    with begun(config, options) as job:
        phases = {**FIND, **SELECT, **fetch_phases(config), **WRITE}
        for name, phase in phases.items():
            if kind == "rows" and name == "fetched":
                made_up(job)
                continue
            with meter.phase(name):
                job.run_phases({name: phase})
        with meter.phase("publish"):
            publish(job)
        names = {"num_candidates": "candidates", "num_selected": "selected"}
        counts = {key: sum_of(job.parts(phase)) for key, phase in names.items()}
    return counts | {"num_pairs": read_manifest(options.dataset).num_pairs}


def main(kind: str, table: str, queries: str, dataset: str, workers: str, *connect_to: str) -> None:
    """Build, and print what it took as JSON."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    meter, base_mb = Meter(), resident_mb()
    for module in (pipeline.job, pipeline.build):  # where phases find what runs them
        vars(module)["run"] = meter.run
    # So that a small build has as many tables to hand to workers as a large one.
    rejected.ROWS_PER_TABLE = 10_000
    options = RunOptions(dataset=Path(dataset), workers=int(workers), connect_to=connect_to, quiet=True)
    begun_s = time.process_time()  # to start Python and to load Beam
    counts = build(kind, config_of(table, queries), options, meter)
    phases = {name: asdict(took) for name, took in meter.phases.items()}
    phases["start"] = asdict(Took(wall_s=begun_s, driver_s=begun_s))
    print(json.dumps(counts | {"base_mb": base_mb, "phases": phases}))


if __name__ == "__main__":
    main(*sys.argv[1:])
