"""Trying again what could not be had: failures of chosen reasons, into new shards of a finished dataset."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters.reasons import Reason
from filters.sampling import pair_id
from filters.urls import host_of
from manifests.locks import held
from manifests.places import Place
from manifests.schema import Manifest
from manifests.storage import read_table
from manifests.store import read_manifest
from pipeline.addition import Addition, publish_extension
from pipeline.build import WRITE, fetch_phases
from pipeline.config import RunOptions
from pipeline.extend import Extension, config_of, open_extension
from pipeline.fetch.peer import check_engine
from pipeline.job import Job, Phase
from pipeline.limits import Fetch
from pipeline.parts import sum_of, write_part
from pipeline.pool import EVERY, Caps, Pool
from pipeline.records import PAIR_SCHEMA, TRIED_STAGES
from pipeline.select import SelectPairs


@dataclass(frozen=True)
class Where:
    """Which rejections are meant: those of which each named column has one of its values."""

    values: dict[str, tuple[str, ...]]

    @classmethod
    def parse(cls, conditions: Sequence[str]) -> "Where":
        """Read conditions such as reason=timeout,host_down. Raises ValueError for what is none."""
        values: dict[str, tuple[str, ...]] = {}
        for condition in conditions:
            name, _, listed = condition.partition("=")
            chosen = tuple(filter(None, listed.split(",")))
            if name not in KNOWN or not chosen or name in values:
                raise ValueError(
                    f"--where {condition!r} is no condition: write reason=timeout,http_error, stage=fetch or "
                    "host=example.com, each once"
                )
            known = KNOWN[name]
            for value in chosen if known else ():
                if value not in known:
                    raise ValueError(f"--where {condition}: no {name} {value!r}, known: {', '.join(known)}")
            values[name] = chosen
        if not values:
            raise ValueError("nothing chosen: give --where reason=timeout, or several conditions")
        return cls(values)

    def mask(self, rejections: pa.Table) -> pa.Array:
        """Return bool (N,): the rows that are meant, all of them of pairs that were tried."""
        chosen = pc.is_in(rejections["stage"], pa.array(TRIED_STAGES))
        chosen = pc.and_(chosen, pc.not_equal(rejections["url"], ""))  # taken down
        for name in ("stage", "reason"):
            if name in self.values:
                chosen = pc.and_(chosen, pc.is_in(rejections[name], pa.array(self.values[name])))
        if hosts := self.values.get("host"):
            chosen = pc.and_(chosen, pa.array(_on_hosts(rejections["url"].to_pylist(), hosts), pa.bool_()))
        return chosen.combine_chunks()


KNOWN: dict[str, tuple[str, ...]] = {
    "stage": TRIED_STAGES,
    "reason": tuple(map(str, Reason)),
    "host": (),  # any
}


def _on_hosts(urls: list[str], hosts: tuple[str, ...]) -> list[bool]:
    below = tuple(f".{host}" for host in hosts)
    found = [host_of(url) or "" for url in urls]
    return [host in hosts or host.endswith(below) for host in found]


@dataclass(frozen=True, kw_only=True)
class RetryRequest:
    """What is tried again, and how."""

    dataset: Place
    """A finished dataset. Its shards stay as they are; what is gained goes into new ones."""
    where: tuple[str, ...]
    """reason=timeout,host_down stage=fetch host=example.com: failures that meet all conditions."""
    fetch: Fetch = field(default_factory=Fetch)
    """The dataset's own limits, but for those that are given anew."""
    workers: int = 1
    """Processes. 1 runs everything in this one."""
    work: Place | None = None
    """Folder of this machine for the retry's own files, as for build."""
    connect_to: tuple[str, ...] = ()
    """HOST=ADDRESS:PORT: where names are really served, as for build."""
    quiet: bool = False
    """No progress bars."""

    @property
    def options(self) -> RunOptions:
        """How this run works."""
        return RunOptions(
            dataset=self.dataset,
            work=self.work,
            workers=self.workers,
            connect_to=self.connect_to,
            quiet=self.quiet,
        )


def limits_of(dataset: Path) -> Fetch:
    """Return the limits that a dataset was fetched by. Raises DatasetError where there is no finished one."""
    return config_of(read_manifest(dataset)).fetch


def retry(request: RetryRequest) -> Manifest:
    """Fetch the chosen failures of a dataset again, or go on with that; return the dataset's manifest.

    Raises ValueError for a request that cannot be met. A dataset with no such failure is left as it is.
    """
    read_manifest(request.dataset)
    options = request.options
    where = Where.parse(request.where)
    with held(request.dataset, request.work):
        extension = open_extension(request.dataset, options.work_folder)
        if not any(len(pairs) for pairs in chosen_pairs(extension, where)):
            return extension.manifest
        config = replace(extension.config, fetch=request.fetch)
        check_engine(config)
        asked = request_of(where, request.fetch, extension.config.fetch)
        extension.begin(asked)
        job = extension.job(config, options)
        phases = _phases(extension, where)
        job.run_phases(phases)
        addition = Addition(
            kind="retry", request=asked, num_tried=sum_of(job.parts("selected")), tried=where.mask
        )
        return publish_extension(extension, job, list(phases), addition)


def request_of(where: Where, fetch: Fetch, built_with: Fetch) -> dict[str, Any]:
    """Return what is asked for, as it stands in the manifest: the conditions, and the limits that differ."""
    before = asdict(built_with)
    changed = {name: value for name, value in asdict(fetch).items() if value != before[name]}
    conditions = [f"{name}={','.join(values)}" for name, values in sorted(where.values.items())]
    return {"where": conditions} | ({"fetch": changed} if changed else {})


def _phases(extension: Extension, where: Where) -> dict[str, Phase]:
    """Return the phases of a retry: those of a build, but for where its pairs come from."""

    def choose(job: Job, out: Path) -> None:
        for number, pairs in enumerate(chosen_pairs(extension, where)):
            write_part(out, f"{number:05d}", pairs, [])

    def select(job: Job, out: Path) -> None:
        # The cap let them through when they were first tried.
        every = Caps(np.full(len(job.queries), EVERY), Pool(), job.config.cap.max_pairs_per_query)
        units = SelectPairs(job.parts("matched"), every, job.config.fetch.pairs_per_unit, out)
        job.run_beam(units, "selected")

    return {"matched": choose, "selected": select, **fetch_phases(extension.config), **WRITE}


def chosen_pairs(extension: Extension, where: Where) -> Iterator[pa.Table]:
    """Yield the pairs that are meant, a table for each file of rejections."""
    for path in extension.rejections():
        table = read_table(path)
        yield pairs_of(table.filter(where.mask(table)), extension.dataset)


def pairs_of(rejections: pa.Table, dataset: Path) -> pa.Table:
    """Return the pairs of rejections (PAIR_SCHEMA). Raises ValueError where they do not carry them."""
    if len(rejections) and ("query_ids" not in rejections.column_names or rejections["query_ids"].null_count):
        raise ValueError(
            f"{dataset} was built by an earlier version, whose rejections do not say enough to try them "
            "again: build it anew"
        )
    rows = rejections.to_pylist()
    pairs = [row | {"pair_id": pair_id(row["url"], row["caption"])} for row in rows]
    return pa.Table.from_pylist(pairs, schema=PAIR_SCHEMA)
