"""What has changed since an earlier dataset: pairs, funnel, configuration. Figures and their section."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc

from manifests.diff import FACTS, changes, flat, terms_of
from manifests.report.bars import Bar, bars, plain
from manifests.report.data import PairFigures, ShownPair, collect_pairs
from manifests.report.gained import Compared, Side, compare_pairs
from manifests.report.looks import measure_looks
from manifests.report.page import Section, cards, facts, folded, number, share, table, text
from manifests.report.pictures import pair_card
from manifests.report.pixels import PixelFigures
from manifests.report.sampling import sample_shards
from manifests.schema import Manifest
from manifests.store import Dataset

NUM_FIELDS_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """An earlier dataset: its figures, and what differs."""

    dataset: Dataset
    pairs: PairFigures
    pictures: PixelFigures
    compared: Compared
    num_terms_added: int
    num_terms_removed: int

    @property
    def looks(self) -> tuple[PairFigures, PixelFigures]:
        """Return what the section on colours and detail compares with."""
        return self.pairs, self.pictures


def read_earlier(old: Dataset, new: Dataset, max_pairs: int) -> Earlier:
    """Compare two datasets, and count the pairs of the earlier one as those of the new one are counted."""
    with tempfile.TemporaryDirectory(prefix="openwit-") as folder:
        compared = compare_pairs(old, new, Path(folder))
    pairs = collect_pairs(old, sample_shards(old.manifest, max_pairs))
    then, now = terms_of(old), terms_of(new)
    return Earlier(
        dataset=old,
        pairs=pairs,
        pictures=measure_looks(old, pairs),
        compared=compared,
        num_terms_added=len(now) - (pc.sum(pc.is_in(now, value_set=then)).as_py() or 0),
        num_terms_removed=len(then) - (pc.sum(pc.is_in(then, value_set=now)).as_py() or 0),
    )


def against_section(dataset: Dataset, earlier: Earlier | None) -> Section:
    """Return what has changed since an earlier dataset; nothing where there is none to compare with."""
    if earlier is None:
        return Section(anchor="against", title="Since the earlier build", body="")
    old, compared = earlier.dataset, earlier.compared
    return Section(
        anchor="against",
        title="Since the earlier build",
        body=_pairs(old.manifest, dataset.manifest, earlier)
        + _gallery("Some of the pairs gained", dataset, compared.gained.shown)
        + _gallery("Some of the pairs lost", old, compared.lost.shown)
        + _funnels(old.manifest, dataset.manifest)
        + _fields(old.manifest, dataset.manifest),
    )


def _pairs(old: Manifest, new: Manifest, earlier: Earlier) -> str:
    gained, lost, every = earlier.compared.gained, earlier.compared.lost, earlier.compared.every
    about = "" if every == 1 else "about "
    named = facts(
        [
            ("Compared with", f"{old.name}, built {old.created_at[:16].replace('T', ' ')} UTC"),
            ("Its content hash", old.content_hash[:16]),
            ("Pairs then", number(old.num_pairs)),
            ("Pairs now", number(new.num_pairs)),
            ("In both", about + number(max(0, old.num_pairs - lost.num_pairs))),
            ("Gained", about + number(gained.num_pairs)),
            ("Lost", about + number(lost.num_pairs)),
            ("Search terms added", number(earlier.num_terms_added)),
            ("Search terms removed", number(earlier.num_terms_removed)),
        ]
    )
    basis = f"Gained and lost are estimated from one key in {number(every)}. " if every > 1 else ""
    bodies = [
        _why("Lost: what this build says of them", lost, "lost"),
        _why("Gained: what the earlier build said of them", gained, ""),
    ]
    line = f'<p class="quiet">{basis}In the charts below, the line is the earlier build.</p>'
    return named + line + cards(bodies, kind="two")


def _why(title: str, side: Side, kind: str) -> str:
    lines = [
        Bar(name=plain(reason), value=count, shown=f"{number(count)} ({share(count, side.num_pairs)})")
        for reason, count in side.reasons.items()
    ]
    return f'<div class="card"><h3>{text(title)}</h3>{bars(lines, kind=kind)}</div>' if lines else ""


def _gallery(title: str, dataset: Dataset, pairs: Sequence[ShownPair]) -> str:
    shown = [pair_card(dataset, pair, {}) for pair in pairs]
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


def _fields(old: Manifest, new: Manifest) -> str:
    named = [{name: getattr(each, name) for name in FACTS} | flat(each.config) for each in (old, new)]
    rows = [
        (change.field, *("—" if value is None else str(value)[:200] for value in (change.old, change.new)))
        for change in changes(*named)
    ]
    if not rows:
        return ""
    left = len(rows) - NUM_FIELDS_SHOWN
    more = f'<p class="quiet">and {number(left)} more: python -m manifests diff</p>' if left > 0 else ""
    shown = table(("field", "then", "now"), rows[:NUM_FIELDS_SHOWN], caption="Facts and settings that differ")
    return folded("Facts and settings that differ", shown + more)
