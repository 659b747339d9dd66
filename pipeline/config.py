"""What is built (BuildConfig, recorded in the manifest) and how this run does it (RunOptions, which is not).

The split matters: two builds of the same BuildConfig from the same web give the same bytes, whatever the
RunOptions. Units stand in names; values are checked on construction.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from filters.checks import ImageChecks, TextChecks
from filters.queries import MatchMode
from filters.scorers import OnnxScorer, read_scorer
from filters.urls import UrlRules
from manifests.places import Place
from manifests.scores import Limits, check_name
from manifests.storage import check_writable, is_local, name_of
from pipeline.clusters import ClusterFlags, Clusters, Runner, RunnerName
from pipeline.limits import Decode, Encode, Fetch, require
from pipeline.pool import CapRule
from pipeline.sources import Sources


@dataclass(frozen=True, kw_only=True)
class Cap:
    """CLIP's balance: at most so many pairs per search term."""

    max_pairs_per_query: int = 20_000
    """Pairs that a search term may keep (WebImageText: 20,000)."""
    rule: CapRule = "exact"
    """exact: so many pairs, those of lowest hash, and more only where another of a pair's terms accepts it.
    soft: each pair with probability cap / count, drawn by hash (MetaCLIP)."""
    survival: float = 0.56
    """Share of pairs that is expected to outlive the fetch and the search for copies; so many more than the
    cap are fetched at first. The default: 80 % can be downloaded, 70 % of those are no copies."""

    def __post_init__(self) -> None:
        require(
            self.max_pairs_per_query >= 1, self.max_pairs_per_query, "cap.max-pairs-per-query must be >= 1"
        )
        require(0.01 <= self.survival <= 1, self.survival, "cap.survival must be 0.01 to 1")


@dataclass(frozen=True, kw_only=True)
class Dedup:
    """When two pictures are copies of each other."""

    max_distance: int | None = 4
    """Bits of the 64-bit perceptual hash in which copies may differ; the best copy is kept. None: only the
    same bytes are copies, which serves pictures of a few pixels, whose hashes say little."""
    max_colour_difference: int | None = 48
    """A second opinion: pictures whose hashes are near are no copies where the mean colours of any of 4 x 4
    cells differ by more than so many levels of 255, as those of drawings in other colours do. None: the hash
    alone decides."""
    keep_captions: bool = False
    """Keep the captions of copies, as extra captions of the picture that is kept in their stead."""
    evaluation_sets: tuple[str, ...] = ()
    """Pictures and captions that must not be trained on, each NAME=PATH: a folder, a tar, a dataset or a list
    of `python -m pipeline hashes`. What is a copy of one is left out, and says of which."""
    against: tuple[str, ...] = ()
    """Earlier datasets, in the same forms: what is a copy of a picture there is left out."""

    def __post_init__(self) -> None:
        within = self.max_distance is None or 0 <= self.max_distance <= 16
        require(within, self.max_distance, "dedup.max-distance must be 0 to 16, or None")
        levels = self.max_colour_difference is None or 0 <= self.max_colour_difference <= 255
        require(levels, self.max_colour_difference, "dedup.max-colour-difference must be 0 to 255, or None")


DESCRIPTIONS = tyro.constructors.PrimitiveConstructorSpec[tuple[OnnxScorer, ...]](
    nargs="*",
    metavar="[FILE [FILE ...]]",
    instance_from_str=lambda words: tuple(read_scorer(Path(word)) for word in words),
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda scorers: [scorer.name for scorer in scorers],
)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Models that score pictures after the fetch; all scores are kept beside the pictures."""

    onnx: Annotated[tuple[OnnxScorer, ...], DESCRIPTIONS] = ()
    """Descriptions of models in ONNX, JSON files: {"name": "nsfw", "path": "nsfw.onnx", "side_px": 224, ...};
    filters/scorers.py lists the fields. They need pip install 'openwit[onnx]'."""
    min_score: tuple[str, ...] = ()
    """NAME=NUMBER: pictures with a lower score are dropped."""
    max_score: tuple[str, ...] = ()
    """NAME=NUMBER: pictures with a higher score are dropped."""

    def __post_init__(self) -> None:
        names = [scorer.name for scorer in self.onnx]
        require(len(set(names)) == len(names), names, "scores.onnx must have names of their own")
        for name in names:
            check_name(name)
        self.limits()

    def limits(self) -> Limits:
        """Return the limits by which pictures are dropped."""
        return Limits.parse(self.min_score, self.max_score, [scorer.name for scorer in self.onnx])


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Everything that decides what is in the dataset."""

    queries: str = ""
    """File of search terms, one per line, or a list that `python -m pipeline queries` made (.parquet)."""
    match_mode: MatchMode = "casefold"
    """How terms are found in captions: as words of any case, as words exactly, or as MetaCLIP does."""
    sources: Annotated[Sources, tyro.conf.arg(name="")] = field(default_factory=Sources)
    url: UrlRules = field(default_factory=UrlRules)
    text: TextChecks = field(default_factory=TextChecks)
    max_urls_per_caption: int | None = 1_000
    """URLs at which one caption may stand in the whole dataset; what stands at more is boilerplate, and all
    its pairs are dropped. Not of pictures of this machine. None: as often as it likes."""
    cap: Cap = field(default_factory=Cap)
    rounds: int = 1
    """Rounds of fetching at most. In a further round, terms that are below their cap though the cap had left
    out pairs of theirs take from those."""
    fetch: Fetch = field(default_factory=Fetch)
    image: ImageChecks = field(default_factory=ImageChecks)
    decode: Decode = field(default_factory=Decode)
    encode: Encode = field(default_factory=Encode)
    scores: Scores = field(default_factory=Scores)
    dedup: Dedup = field(default_factory=Dedup)
    pairs_per_shard: int = 10_000

    def __post_init__(self) -> None:
        most = self.max_urls_per_caption
        require(most is None or most >= 1, most, "max-urls-per-caption must be >= 1, or None")
        require(1 <= self.rounds <= 100, self.rounds, "rounds must be 1 to 100")
        require(
            1 <= self.pairs_per_shard <= 100_000, self.pairs_per_shard, "pairs-per-shard must be 1 to 100,000"
        )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How this run works; none of it changes a byte of the result."""

    dataset: Place
    """Where the dataset goes: a directory, or s3://bucket/name, gs://, az://, hdfs://. The same command goes
    on where it stopped."""
    work: Place | None = None
    """Folder for the build's own files, which the dataset's work/ holds otherwise. Of a dataset in a store: a
    folder of this machine, or for workers on others one in a store, too. May be deleted once the dataset is
    there."""
    config: Literal["same", "changed"] = "same"
    """Settings of an unfinished dataset. same: those that it was begun with. changed: others; it is said
    which phases must run again, and they do."""
    reuse: Path | None = None
    """Another build's dataset on this machine, finished or not, with its work/: begin with the phases that
    these settings leave as they are. It stays as it is."""
    workers: int = 1
    """Processes. 1 runs everything in this one; on a cluster, those of all machines."""
    runner: RunnerName = "direct"
    """Which of Beam's runners works. direct: this machine, or pools on several."""
    clusters: ClusterFlags = field(default_factory=Clusters)
    shared_disk: bool = False
    """All workers of a cluster find what is named by a path of this machine under the same path."""
    connect_to: tuple[str, ...] = ()
    """HOST=ADDRESS:PORT, as curl's --connect-to: where names are really served (*.HOST for a whole
    domain). Only these may lie on addresses that are not public."""
    sample_web: Path | None = None
    """Serve the sample web from this folder (drawn when it is missing) while the build runs."""
    quiet: bool = False
    """No progress bars."""

    def __post_init__(self) -> None:
        require(self.workers >= 1, self.workers, "workers must be >= 1")
        self.cluster.flags(self.workers)  # settings of a runner that are wrong are found here
        check_writable(self.dataset, "dataset")
        self._check_work()
        for entry in self.connect_to:
            host, _, address = entry.partition("=")
            require(
                bool(host) and address.rpartition(":")[2].isdigit(),
                entry,
                "connect-to must be HOST=ADDRESS:PORT",
            )

        self._check_disk()

    def _check_work(self) -> None:
        """Refuse a work folder that is not where the build could use it."""
        if self.work is None and not is_local(self.dataset) and not self.cluster.remote:
            raise ValueError(
                f"dataset: {self.dataset} is not on this machine, where a build works on files of its own. "
                f"Next: give --work DIR, with room for twice the pictures, or --work {self.dataset / 'work'} "
                "for workers on other machines"
            )
        if self.work is not None and not is_local(self.work):
            check_writable(self.work, "work")
            if is_local(self.dataset):
                raise ValueError(
                    f"work: {self.work} is in a store, and {self.dataset} is not: workers write into it from "
                    "wherever they are. Next: --dataset in a store, or --work DIR"
                )

    def _check_disk(self) -> None:
        """Refuse workers that would look for the work folder on disks of their own."""
        if not self.cluster.remote or not is_local(self.work_folder):
            return
        where = f"{self.work_folder} on this machine's disk, which the workers of {self.runner}"
        if not self.shared_disk:
            raise ValueError(
                f"shared-disk: {where} would not see. Next: --dataset (and --work) in a store, or on a disk "
                "that all mount at the same path, and --shared-disk"
            )
        if not self.work_folder.is_absolute():
            raise ValueError(f"shared-disk: {where} find by its whole path only. Next: begin it with /")

    @property
    def cluster(self) -> Runner:
        """The settings of the chosen runner."""
        return self.clusters.chosen(self.runner)

    @property
    def flags(self) -> list[str]:
        """What Beam is told, as words of a command line."""
        return self.cluster.flags(self.workers)

    @property
    def work_folder(self) -> Path:
        """Where the build's own files lie."""
        return self.work or self.dataset / "work"

    @property
    def held_work(self) -> Path | None:
        """The work folder that is held beside the dataset: one that was given, or lies in a store."""
        return self.work if is_local(self.work_folder) else self.work_folder

    @property
    def grows_at(self) -> Path:
        """Where the dataset is built: where it belongs, or, of one that a build on this machine's disks makes
        for a store, in the work folder until it is whole."""
        if is_local(self.dataset) or not is_local(self.work_folder):
            return self.dataset
        return self.work_folder / "finished" / name_of(self.dataset)
