"""One build under way: its configuration, its search terms, its directory, and the phases that have ended."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np

from manifests.publishing import next_shard_number
from manifests.storage import make_folder
from manifests.store import Dataset, write_bytes
from pipeline.config import BuildConfig, RunOptions
from pipeline.limits import Network
from pipeline.parts import Part, index_parts, parts_in
from pipeline.progress import num_files, shown
from pipeline.records import Query
from pipeline.rematch import NewTerms, RematchedPart
from pipeline.runners import run

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
                make_folder(folder)
                phase(self, folder)
                write_bytes(done, b"")

    def run_beam(self, transform: beam.PTransform, label: str, total: int | None = None) -> None:
        """Run a transform that writes parts into the phase's folder, and show how many are there."""
        counted = num_files(self.folder(label))
        with shown(label, " files", total, counted, self.options.quiet):
            run(transform, self.options.workers, self.options.cluster)

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
