"""A dry run: what Beam would be told, and whether every phase could travel to workers elsewhere.

Each phase is built without data, as the runner would get it, and its protocol buffer is looked at. Needs no
cluster and no credentials, and reaches nothing.
"""

import base64
import bz2
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.transforms.environments import (
    DockerEnvironment,
    EmbeddedPythonEnvironment,
    Environment,
    ExternalEnvironment,
)

from manifests.storage import is_local, location, remove_folder
from pipeline.balance import CountPerQuery, RankHits
from pipeline.blocks import GroupBlocks
from pipeline.clusters import Direct
from pipeline.config import BuildConfig, RunOptions
from pipeline.crawl import Crawl
from pipeline.dedup import FindCopies
from pipeline.fetch.stage import FetchUnits
from pipeline.limits import Network
from pipeline.match import MatchCandidates
from pipeline.pool import EVERY, Caps, Pool
from pipeline.reach import check_reach
from pipeline.records import Query
from pipeline.rejected import GatherRejections
from pipeline.runners import options_of
from pipeline.score import ScorePictures
from pipeline.select import SelectPairs
from pipeline.shards import KeepBest, OrderByKey, WriteShards

GROUP_BY_KEY = "beam:transform:group_by_key:v1"
KV = "beam:coder:kv:v1"
# What every runner, in whatever language, finds equal where we do.
PORTABLE_KEYS = ("beam:coder:varint:v1", "beam:coder:bytes:v1", "beam:coder:string_utf8:v1")
BLOCKS = f"{GroupBlocks.__module__}.{GroupBlocks.__qualname__}".encode()
DEALT = "/Reshuffle/"  # Create deals out its elements, which the driver has named: parts, units, plans
QUERIES = 3


@dataclass(frozen=True)
class Checked:
    """What was found in one phase."""

    phase: str
    num_transforms: int
    num_shuffles: int
    num_bytes: int
    faults: tuple[str, ...]

    def __str__(self) -> str:
        verdict = "; ".join(self.faults) or "ok"
        return (
            f"{self.phase:<12}{self.num_transforms:>4} transforms {self.num_shuffles:>3} shuffles of blocks "
            f"{self.num_bytes:>8,} bytes  {verdict}"
        )


def dry_run(config: BuildConfig, options: RunOptions) -> Iterator[str]:
    """Yield lines: the options, the environment, a line a phase, a verdict.

    Raises ValueError where a phase could not run on workers elsewhere.
    """
    beam_options, environment = options_of(options.cluster, options.workers), environment_of(options)
    yield f"runner      {options.runner}, {options.workers} workers"
    yield f"options     {shlex.join(options.cluster.flags(options.workers))}"
    yield f"workers are {_described(environment)}"
    yield f"work folder {_described_work(options)}"
    check_reach(config, options)
    found = []
    in_store = not is_local(options.work_folder)
    for checked in check_phases(config, environment, beam_options, in_store=in_store):
        found.append(checked)
        yield str(checked)
    if bad := [checked.phase for checked in found if checked.faults]:
        raise ValueError(f"dry-run: {', '.join(bad)} could not run on workers elsewhere, as said above")
    yield f"verdict     {len(found)} phases could be handed to {options.runner}; nothing was run or reached"


def environment_of(options: RunOptions) -> Environment:
    """Return what workers run in, as the runner is told."""
    cluster = options.cluster
    if isinstance(cluster, Direct):
        return ExternalEnvironment(cluster.pools[0]) if cluster.pools else EmbeddedPythonEnvironment()
    told = options_of(cluster, options.workers)
    portable, image = told.view_as(PortableOptions), told.get_all_options().get("sdk_container_image")
    if portable.environment_type == "EXTERNAL":
        return ExternalEnvironment(portable.environment_config)
    return DockerEnvironment(container_image=image or portable.environment_config)


def check_phases(
    config: BuildConfig, environment: Environment, options: PipelineOptions, *, in_store: bool = False
) -> Iterator[Checked]:
    """Yield what is found in every phase of a build of this configuration, whose work may lie in a store."""
    with tempfile.TemporaryDirectory() as name:
        # The store that needs no network: this process's memory.
        folder = location(f"memory:/{name}") if in_store else Path(name)
        for phase, transform in phases(config, folder):
            yield check(phase, transform, environment, options)
        remove_folder(folder)


def phases(config: BuildConfig, folder: Path) -> Iterator[tuple[str, beam.PTransform]]:
    """Yield every phase that Beam runs, with no data, by its name; some write a small file to the folder."""
    queries = [Query(query_id=number, text=f"term {number}", origin="given") for number in range(QUERIES)]
    network, pool = Network(connect_to=(), contact=config.fetch.contact), Pool()
    every = np.full(QUERIES, EVERY)
    caps = Caps(every, pool, config.cap.max_pairs_per_query)
    yield "candidates", Crawl(config.sources, queries, network, folder)
    yield "matched", MatchCandidates([], queries, config, {}, folder)
    yield "counted", CountPerQuery([], pool, QUERIES, folder)
    yield "demand", RankHits([], pool, every, every, folder)
    yield "selected", SelectPairs([], caps, config.fetch.pairs_per_unit, folder)
    yield "fetched", FetchUnits(["00-00000-00000"], folder, folder, config, network, folder, 1)
    if config.scores.onnx:
        yield "scored", ScorePictures([], config.scores, folder)
    yield "copies", FindCopies([], config.dedup, folder)
    yield "kept", KeepBest([], folder, folder)
    yield "ordered", OrderByKey([], caps, folder)
    yield "shards", WriteShards([], folder, folder, folder)
    yield "rejected", GatherRejections([], folder, folder)


def check(
    phase: str, transform: beam.PTransform, environment: Environment, options: PipelineOptions
) -> Checked:
    """Return what is found in one phase."""
    pipeline = beam.Pipeline(runner=None, options=PipelineOptions(flags=[], **_untargeted(options)))
    pipeline | phase >> transform
    proto = pipeline.to_runner_api(default_environment=environment)
    shuffles = [t for t in proto.components.transforms.values() if t.spec.urn == GROUP_BY_KEY]
    blocks = _of_blocks(proto)
    faults = (
        *_environment_faults(proto, environment),
        *(fault for shuffle in shuffles for fault in _shuffle_faults(proto, shuffle, blocks)),
        *_main_faults(proto),
    )
    return Checked(phase, len(proto.components.transforms), len(blocks), proto.ByteSize(), faults)


def _untargeted(options: PipelineOptions) -> dict[str, Any]:
    """Return the options without a runner, whose own packages a dry run does not need."""
    given = options.get_all_options(drop_default=True)
    return {name: value for name, value in given.items() if name != "runner"}


def _described(environment: Environment) -> str:
    if isinstance(environment, DockerEnvironment):
        return f"containers of {environment.container_image} ({common_urns.environments.DOCKER.urn})"
    if isinstance(environment, ExternalEnvironment):
        return f"of the pool at {environment.url} ({common_urns.environments.EXTERNAL.urn})"
    return "processes of this machine"


def _described_work(options: RunOptions) -> str:
    work = options.work_folder
    if not is_local(work):
        return f"{work}, in a store: workers need its package and credentials"
    if options.cluster.remote:
        return f"{work}, on a disk that all workers mount"
    return f"{work}"


def _environment_faults(proto: Any, environment: Environment) -> Iterator[str]:
    """Yield what is wrong with where functions would run."""
    wanted = environment.to_runner_api(None)
    used = {
        transform.environment_id
        for transform in proto.components.transforms.values()
        if transform.environment_id
    }
    for name in sorted(used):
        found = proto.components.environments[name]
        if (found.urn, found.payload) != (wanted.urn, wanted.payload):
            yield f"would run in {found.urn}, not in {wanted.urn}"


def _of_blocks(proto: Any) -> set[str]:
    """Return the names of the shuffles inside of GroupBlocks, where Beam notes the class of each step."""
    transforms = proto.components.transforms
    inside = [t for t in transforms.values() if t.annotations.get("python_type") == BLOCKS]
    return {transforms[child].unique_name for step in inside for child in step.subtransforms}


def _shuffle_faults(proto: Any, shuffle: Any, blocks: set[str]) -> Iterator[str]:
    """Yield what is wrong with a shuffle: only blocks of rows cross, under keys that all runners know."""
    name = shuffle.unique_name
    if name not in blocks:
        if DEALT not in name:
            yield f"{name} shuffles what is no block of rows"
        return
    coders, (collection,) = proto.components.coders, shuffle.inputs.values()
    coder = coders[proto.components.pcollections[collection].coder_id]
    if coder.spec.urn != KV:
        yield f"{name} groups {coder.spec.urn}"
        return
    key, value = (coders[part].spec.urn for part in coder.component_coder_ids)
    if key not in PORTABLE_KEYS:
        yield f"{name} has keys of {key}"
    if value != "beam:coder:bytes:v1":
        yield f"{name} has values of {value}"


def _main_faults(proto: Any) -> Iterator[str]:
    """Yield the steps whose functions are of the program that submits, which workers do not have."""
    for transform in proto.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            payload = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            if b"__main__" in unpacked(payload.do_fn.payload):
                yield f"{transform.unique_name} holds something of __main__"


def unpacked(payload: bytes) -> bytes:
    """Return a pickle as it was before Beam compressed it."""
    return bz2.decompress(base64.b64decode(payload))
