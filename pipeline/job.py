"""One build under way: its configuration, its search terms, its directory, and the phases that have ended."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from filters.checks import screen_caption
from filters.do_not_fetch import read_do_not_fetch
from manifests.dates import now
from manifests.locks import held
from manifests.publishing import next_shard_number
from manifests.schema import SCHEMA_VERSION
from manifests.store import MANIFEST_NAME, Dataset, write_bytes
from pipeline.config import BuildConfig, RunOptions
from pipeline.fetch.peer import check_engine
from pipeline.limits import Network
from pipeline.parts import Part, index_parts, parts_in
from pipeline.progress import num_files, shown
from pipeline.records import Query
from pipeline.references import references_of
from pipeline.rematch import NewTerms, RematchedPart
from pipeline.runners import run
from pipeline.score import check_scores
from pipeline.terms import read_terms

# Settings that decide nothing about what is in the dataset.
MAY_CHANGE = ("fetch.contact", "fetch.img2dataset_python")
BEGUN = "begun.json"  # when this build was begun, and in which format it keeps its rows
# These write anew in each round of fetching; what is fetched is added to what is there.
ONCE_A_ROUND = ("demand", "selected", "copies", "kept")


@dataclass(frozen=True)
class Job:
    """A build, as seen from one of its rounds of fetching (1 is the first)."""

    config: BuildConfig
    options: RunOptions
    queries: list[Query]
    round: int = 1
    base: Dataset | None = None
    """The finished dataset that this build adds to; its own `options.dataset` is where the addition grows."""
    new_terms: NewTerms | None = None
    """Those of `queries` that the base was not matched against."""

    def at_round(self, number: int) -> "Job":
        """Return the same build seen from another round."""
        return replace(self, round=number)

    @property
    def network(self) -> Network:
        """How this run reaches hosts."""
        return Network(connect_to=self.options.connect_to, contact=self.config.fetch.contact)

    @property
    def begun_at(self) -> str | None:
        """When the build was begun; None for an addition to a dataset."""
        path = self.options.work_folder / BEGUN
        return str(json.loads(path.read_bytes())["at"]) if path.exists() else None

    @property
    def suffix(self) -> str:
        """What tells the files of this round from those of the first."""
        return f"-{self.round}" if self.round > 1 else ""

    def folder(self, phase: str) -> Path:
        """Return where a phase writes."""
        name = phase + self.suffix if phase in ONCE_A_ROUND else phase
        return self.options.work_folder / name

    def parts(self, phase: str) -> list[Part]:
        """Return what a finished phase has written."""
        return parts_in(self.folder(phase))

    @property
    def pictures(self) -> str:
        """The last phase that judges pictures by themselves: copies are sought among what it leaves."""
        return "scored" if self.config.scores.onnx else "fetched"

    def base_parts(self) -> list[Part]:
        """Return the shards of the dataset that is added to, as parts of pictures without units."""
        return index_parts(self.base.root) if self.base else []

    def had_parts(self) -> list[Part]:
        """Return the same, with all terms of this build in the pairs' `query_ids`."""
        parts = self.base_parts()
        if self.new_terms is None:
            return parts
        return [RematchedPart(part.folder, part.name, self.new_terms) for part in parts]

    @property
    def next_shard(self) -> int:
        """The number of the first shard that this build writes: none is ever used again."""
        return next_shard_number(self.base.manifest) if self.base else 0

    def run_phases(self, phases: Mapping[str, "Phase"]) -> None:
        """Run phases that have not ended, one after the other, and mark each as ended."""
        for name, phase in phases.items():
            folder = self.folder(name)
            done = folder / f"_done{self.suffix}"
            if not done.exists():
                folder.mkdir(parents=True, exist_ok=True)
                phase(self, folder)
                write_bytes(done, b"")

    def run_beam(self, transform: beam.PTransform, label: str, total: int | None = None) -> None:
        """Run a transform that writes parts into the phase's folder, and show how many are there."""
        counted = num_files(self.folder(label))
        with shown(label, " files", total, counted, self.options.quiet):
            run(transform, self.options.workers)

    def runner(self, label: str) -> Callable[[beam.PTransform], None]:
        """Return what runs the transforms of a phase that takes several."""
        return lambda transform: self.run_beam(transform, label)

    def full_caps(self) -> np.ndarray:
        """Return int64 (number of terms,): the pairs that each term may keep."""
        return np.full(len(self.queries), self.config.cap.max_pairs_per_query, dtype=np.int64)


Phase = Callable[[Job, Path], None]


def config_as_json(config: BuildConfig) -> dict[str, Any]:
    """Return the configuration as it stands in a manifest."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


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
    queries = read_terms(Path(config.queries), config.match_mode)
    work = options.work_folder
    try:
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        flag = "work" if options.work else "dataset"
        raise ValueError(
            f"{flag}: {work} cannot be made ({error.strerror}): give another --{flag}"
        ) from error
    with held(options.dataset, options.work):
        if not (work / "config.json").exists():
            _check_sources(config, queries)
            _check_nothing_there(options.dataset)
            write_bytes(work / BEGUN, json.dumps({"at": now(), "schema_version": SCHEMA_VERSION}).encode())
            write_bytes(work / "config.json", json.dumps(config_as_json(config), indent=1).encode())
        if not (options.dataset / MANIFEST_NAME).exists():
            _check_format(work / BEGUN, options.dataset)
            _check_no_new_settings(work / "config.json", config, options.dataset)
        _check_same_config(work / "config.json", config_as_json(config), options.dataset)
        yield Job(config, replace(options, dataset=options.grows_at), queries)


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
            if there := next(iter((dataset / folder).glob("[!.]*.*")), None):
                raise ValueError(
                    f"{there} is there already, of no dataset and not of this build: remove it with what is "
                    "beside it, or give another --dataset"
                )


def _check_same_config(path: Path, config: dict[str, Any], dataset: Path) -> None:
    begun = _flat(json.loads(path.read_bytes()))
    for name, value in _flat(config).items():
        if name in begun and begun[name] != value and name not in MAY_CHANGE:
            raise ValueError(
                f"{dataset} was begun with {name} = {begun[name]!r}, now it is {value!r}: "
                "go on with the same settings, or give another --dataset"
            )


def _check_format(path: Path, dataset: Path) -> None:
    """Refuse to go on with a build whose rows lie in the columns of another version."""
    if not path.exists() or json.loads(path.read_bytes())["schema_version"] != SCHEMA_VERSION:
        raise ValueError(
            f"{dataset} was begun by another version of openwit, whose files this one cannot go on with: "
            "finish it with that version, or give another --dataset"
        )


def _check_no_new_settings(path: Path, config: BuildConfig, dataset: Path) -> None:
    """Refuse to go on with a build that an earlier version began without a setting which decides now.

    A source or a model that did not exist then, and is off, decides nothing.
    """
    begun, off = _flat(json.loads(path.read_bytes())), _flat(config_as_json(BuildConfig()))
    for name, value in _flat(config_as_json(config)).items():
        if name not in begun and not (name.startswith(("sources.", "scores.")) and value == off[name]):
            raise ValueError(
                f"{dataset} was begun by an earlier version, without {name}: give another --dataset"
            )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in config.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat
