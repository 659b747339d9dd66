"""A build whose configuration has changed: which phases must run again and why, what stays, what it costs.

The table says in which phase each setting first decides anything. What lies before the first of the changed
settings stays; from there on everything is made anew. Where several rounds fetch, a further one depends on
all of the round before it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.storage import files_below, for_each, link_or_copy, remove_file
from pipeline.parts import Part, parts_in

# Once a round are those from demand to kept.
PHASES = (
    *("candidates", "matched", "demand", "selected", "fetched", "scored", "copies", "kept"),
    *("supply", "ordered", "counted", "shards"),
)
IN_ROUNDS = PHASES[2:8]
ALL_ROUNDS = 1_000_000
# A setting, or a group of them, and the first phase in which it decides anything; None: it never does. Of
# several names that fit, the longest speaks.
FIRST_PHASE: dict[str, str | None] = {
    "queries": "candidates",
    "queries_sha256": "candidates",  # the terms themselves; where they are known, their place is no matter
    "match_mode": "candidates",  # by it terms that find the same are one, and so they are numbered
    "sources": "candidates",
    "url": "matched",
    "text": "matched",
    "max_urls_per_caption": "matched",
    "cap": "demand",
    "rounds": "supply",  # those that both have stay
    "fetch": "fetched",
    "fetch.contact": None,
    "fetch.img2dataset_python": None,
    "fetch.do_not_fetch": "matched",
    "fetch.pairs_per_unit": "selected",
    "image": "fetched",
    "decode": "fetched",
    "encode": "fetched",
    "scores": "scored",
    "dedup": "copies",
    "dedup.evaluation_sets": "matched",  # also their captions
    "pairs_per_shard": "shards",
    "dataset": "shards",  # of a build that takes over another's work
}
# What the phases write into the dataset itself.
PUBLISHED = ("shards", "index", "fetch_times", "rejections")
OF_REFERENCES = ("dedup.evaluation_sets", "dedup.against")


@dataclass(frozen=True, slots=True)
class Difference:
    """A setting that has changed."""

    name: str
    before: Any
    now: Any

    @property
    def first(self) -> str | None:
        """The first phase that must run again; None where none must."""
        return first_phase(self.name)


@dataclass(frozen=True)
class Rerun:
    """What changed settings undo of a build."""

    differences: tuple[Difference, ...]

    @property
    def first(self) -> str | None:
        """The first phase that must run again; None where none must."""
        phases = [found.first for found in self.differences if found.first]
        return min(phases, key=PHASES.index, default=None)

    @property
    def again(self) -> tuple[str, ...]:
        """The phases that must run again."""
        return PHASES[PHASES.index(self.first) :] if self.first else ()

    @property
    def num_rounds(self) -> int:
        """How many rounds of fetching stay as they are, at least in part."""
        if self.first in IN_ROUNDS:
            return 1
        return min((min(d.before, d.now) for d in self.differences if d.name == "rounds"), default=ALL_ROUNDS)

    @property
    def sources(self) -> tuple[str, ...] | None:
        """The sources that must be read again; None for all."""
        undoing = [found.name.split(".") for found in self.differences if found.first == PHASES[0]]
        if any(words[0] != "sources" for words in undoing):
            return None
        return tuple(sorted({words[1] for words in undoing}))

    def keeps(self, name: str) -> bool:
        """Return whether a file of the work folder stays, by its name there."""
        folder, _, rest = name.partition("/")
        if folder == "references":
            return not any(found.name in OF_REFERENCES for found in self.differences)
        phase, _, number = folder.partition("-")
        if phase not in PHASES or not rest:
            return True  # the configuration, the lock
        if phase == PHASES[0] and phase in self.again:
            return self.sources is not None and not rest.startswith(("_", *self.sources))
        round_ = round_of(rest) if phase in ("fetched", "scored") else int(number or 1)
        return phase not in self.again and (phase not in IN_ROUNDS or round_ <= self.num_rounds)

    def stays(self, work: Path) -> tuple[str, ...]:
        """Return the phases that were begun and stay."""
        return tuple(phase for phase in PHASES if phase not in self.again and (work / phase).exists())

    def num_fetched_again(self, work: Path) -> int:
        """Return how many pairs that were fetched must be fetched again."""
        units = parts_in(work / "fetched")
        names = [unit.name for unit in units if not self.keeps(f"fetched/{unit.name}.parquet")]
        return sum(Part(work / _selected_in(round_of(name)), name).num_rows() for name in names)

    def lines(self, work: Path) -> Iterator[str]:
        """Yield what must run again, why, and what it costs."""
        for found in self.differences:
            yield f"changed   {found.name} {found.before!r} -> {found.now!r}: decides from {found.first} on"
        yield f"stay      {', '.join(self.stays(work)) or 'none'}"
        yield f"run again {', '.join(self.again)}"
        if self.first == PHASES[0]:
            which = "all sources are" if self.sources is None else f"{', '.join(self.sources)} is"
            yield f"cost      {which} read and asked again"
        yield f"cost      {self.num_fetched_again(work):,} pairs are fetched again"


def first_phase(name: str) -> str | None:
    """Return the first phase in which a setting decides anything. Raises KeyError for one of no group."""
    words = name.split(".")
    prefixes = [".".join(words[:length]) for length in range(len(words), 0, -1)]
    return FIRST_PHASE[next((prefix for prefix in prefixes if prefix in FIRST_PHASE), name)]


def round_of(name: str) -> int:
    """Return the round of a file of the phases that all rounds write to.

    >>> round_of("07-00000-00002.tar"), round_of("07-00000-00002-3.rejections.parquet"), round_of("_done-2")
    (1, 3, 2)
    """
    words = name.partition(".")[0].split("-")
    number = words[1:2] if words[0] == "_done" else words[3:4]
    return int(number[0]) if number else 1


def _selected_in(round_: int) -> str:
    return f"selected-{round_}" if round_ > 1 else "selected"


def compare(
    begun: Mapping[str, Any], now: Mapping[str, Any], off: Mapping[str, Any], *, finished: bool = False
) -> Rerun:
    """Compare two flat configurations; settings that decide nothing are left out.

    A source or a model that an earlier version did not know, and that is `off` now, decides nothing, and
    no setting that it did not know where that version has finished the dataset.
    """
    found = []
    for name, value in now.items():
        new = name not in begun
        off_now = name.startswith(("sources.", "scores.")) and value == off[name]
        ignored = new and (finished or off_now or name == "queries_sha256")
        by_terms = name == "queries" and "queries_sha256" in begun
        if not ignored and not by_terms and (new or begun[name] != value) and first_phase(name):
            found.append(Difference(name, begun.get(name), value))
    return Rerun(tuple(found))


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a configuration as {"fetch.timeout_s": 20.0, ...}."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def undo(rerun: Rerun, work: Path, dataset: Path) -> None:
    """Remove what must be made again of an unfinished dataset. A run that was cut short here leaves a build
    of the old configuration, in which phases have not ended."""
    gone = [path for path in files_below(work) if not rerun.keeps(path.relative_to(work).as_posix())]
    gone += [path for folder in PUBLISHED for path in files_below(dataset / folder) if rerun.again]
    # Marks first: a phase without all of its parts must not seem to have ended.
    for marks in (True, False):
        those = [path for path in gone if path.name.startswith("_done") is marks]
        deque(for_each(remove_file, those, work), maxlen=0)


def take_over(rerun: Rerun, work: Path, to: Path) -> None:
    """Give another build what stays of this one's work, by links where that can be; marks come last."""
    names = [path.relative_to(work).as_posix() for path in files_below(work)]
    names = [name for name in names if "/" in name and rerun.keeps(name) and _is_whole(name)]
    for name in sorted(names, key=lambda name: name.rpartition("/")[2].startswith("_done")):
        link_or_copy(work / name, to / name)


def _is_whole(name: str) -> bool:
    """Leave out what is written to in place: journals of searches, tallies, files under temporary names."""
    words = name.split("/")
    known = words[0].partition("-")[0] in (*PHASES, "references")
    in_place = any(word.endswith(".answers.jsonl") or word.startswith(("tally-", ".")) for word in words)
    return known and not in_place
