"""What has changed since an earlier dataset: pairs, funnel, configuration. Figures and their section."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from manifests.diff import Difference, diff
from manifests.diff_pairs import OneSided
from manifests.report.bars import Bar, bars, plain
from manifests.report.data import PairFigures, ShownPair, collect_pairs
from manifests.report.looks import measure_looks
from manifests.report.page import Section, cards, facts, folded, number, share, table, text
from manifests.report.pictures import pair_card
from manifests.report.pixels import PixelFigures
from manifests.report.sampling import sample_shards
from manifests.schema import Manifest
from manifests.store import Dataset

MAX_KEYS = 20_000  # of the pairs gained or lost, among which those to show are looked for
NUM_PAIRS_SHOWN = 8
NUM_FIELDS_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier dataset: its figures, what differs, and keys of some pairs gained since."""

    dataset: Dataset
    pairs: PairFigures
    pictures: PixelFigures
    difference: Difference
    gained_keys: tuple[str, ...]
    lost_keys: tuple[str, ...]

    @property
    def looks(self) -> tuple[PairFigures, PixelFigures]:
        """Return what the section on colours and detail compares with."""
        return self.pairs, self.pictures


def read_earlier(old: Dataset, new: Dataset, max_pairs: int) -> Earlier:
    """Compare two datasets, and count the pairs of the earlier one as those of the new one are counted."""
    with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
        difference = diff(old, new, Path(folder))
        # The keys lie in the folder, not in memory.
        gained, lost = (tuple(_some(side)) for side in (difference.gained, difference.lost))
    pairs = collect_pairs(old, sample_shards(old.manifest, max_pairs), survivor_keys=lost)
    return Earlier(
        dataset=old,
        pairs=pairs,
        pictures=measure_looks(old, pairs),
        difference=difference,
        gained_keys=gained,
        lost_keys=lost,
    )


def against_section(dataset: Dataset, pairs: PairFigures, earlier: Earlier | None) -> Section:
    """Return what has changed since an earlier dataset; nothing where there is none to compare with."""
    if earlier is None:
        return Section(anchor="against", title="Since the earlier build", body="")
    return Section(
        anchor="against",
        title="Since the earlier build",
        body=_pairs(earlier.dataset.manifest, dataset.manifest, earlier.difference)
        + _gallery("Some of the pairs gained", dataset, earlier.gained_keys, pairs)
        + _gallery("Some of the pairs lost", earlier.dataset, earlier.lost_keys, earlier.pairs)
        + _funnels(earlier.dataset.manifest, dataset.manifest)
        + _fields(earlier.difference),
    )


def _pairs(old: Manifest, new: Manifest, difference: Difference) -> str:
    gained, lost = difference.gained, difference.lost
    named = facts(
        [
            ("Compared with", f"{old.name}, built {old.created_at[:16].replace('T', ' ')} UTC"),
            ("Its content hash", old.content_hash[:16]),
            ("Pairs then", number(old.num_pairs)),
            ("Pairs now", number(new.num_pairs)),
            ("In both", number(old.num_pairs - lost.num_pairs)),
            ("Gained", number(gained.num_pairs)),
            ("Lost", number(lost.num_pairs)),
            ("Search terms added", number(len(difference.terms_added))),
            ("Search terms removed", number(len(difference.terms_removed))),
        ]
    )
    bodies = [
        _why("Lost: what this build says of them", lost, "lost"),
        _why("Gained: what the earlier build said of them", gained, ""),
    ]
    line = '<p class="quiet">In the charts below, the line is the earlier build.</p>'
    return named + line + cards(bodies, kind="two")


def _why(title: str, side: OneSided, kind: str) -> str:
    lines = [
        Bar(name=plain(reason), value=count, shown=f"{number(count)} ({share(count, side.num_pairs)})")
        for reason, count in side.reasons.items()
    ]
    return f'<div class="card"><h3>{text(title)}</h3>{bars(lines, kind=kind)}</div>' if lines else ""


def _gallery(title: str, dataset: Dataset, keys: Sequence[str], pairs: PairFigures) -> str:
    found: list[ShownPair] = [pairs.survivors[key] for key in keys if key in pairs.survivors]
    shown = [pair_card(dataset, pair, {}) for pair in found[:NUM_PAIRS_SHOWN]]
    return f"<h3>{text(title)}</h3>{cards(shown, kind='pairs')}" if shown else ""


def _funnels(old: Manifest, new: Manifest) -> str:
    """Return the funnels side by side: every stage and reason, with its share of what entered the stage."""
    then, now = _shares(old), _shares(new)
    rows = [(*name, *then.get(name, ("", "")), *now.get(name, ("", ""))) for name in {**now, **then}]
    columns = ("stage", "outcome", "then", "share then", "now", "share now")
    caption = "The funnel of the earlier build and of this one"
    return f"<h3>Funnels</h3>{table(columns, rows, caption=caption)}"


def _shares(manifest: Manifest) -> dict[tuple[str, str], tuple[int, str]]:
    found = {}
    for stage in manifest.funnel:
        outcomes = {plain(reason): count for reason, count in stage.dropped.items()}
        for outcome, count in {**outcomes, "goes on": stage.num_out}.items():
            found[plain(stage.stage), outcome] = (count, share(count, stage.num_in))
    return found


def _fields(difference: Difference) -> str:
    rows = [
        (change.field, *("—" if value is None else str(value)[:200] for value in (change.old, change.new)))
        for change in [*difference.facts, *difference.config]
    ]
    if not rows:
        return ""
    left = len(rows) - NUM_FIELDS_SHOWN
    more = f'<p class="quiet">and {number(left)} more: python -m manifests diff</p>' if left > 0 else ""
    shown = table(("field", "then", "now"), rows[:NUM_FIELDS_SHOWN], caption="Facts and settings that differ")
    return folded("Facts and settings that differ", shown + more)


def _some(side: OneSided) -> Iterator[str]:
    """Yield at most MAX_KEYS keys of one side, at equal distances in their order."""
    every, place = side.num_pairs // MAX_KEYS + 1, 0
    for records in side.by_key.ranges():
        for first, second, _ in records[-place % every :: every].tolist():
            yield f"{first:016x}{second:016x}"
        place += len(records)
