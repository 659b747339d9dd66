"""A takedown written beside the dataset, in work/takedown: shards and tables without what is taken down.

Nothing of the dataset is touched. The staged manifest is written last: from then on it is to be applied.
"""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from manifests.counts import hits, write_counts
from manifests.do_not_fetch import LIST_NAME, read_list, write_list
from manifests.publishing import following, next_shard_number, write_sizes
from manifests.schema import Change, FileRecord, Shard, StageCount
from manifests.select import beside_index
from manifests.storage import read_table
from manifests.store import Dataset, record_file, write_bytes, write_manifest, write_table
from manifests.takedown.apply import APPLY_NAME
from manifests.takedown.blank import REASON, STAGE, write_rejections
from manifests.takedown.find import Found
from manifests.takedown.receipt import Signed, write_receipt
from manifests.takedown.request import Request
from manifests.takedown.shard import write_without

TABLES = ("coverage.parquet", "queries.parquet", "samples.parquet", LIST_NAME)


@dataclass(kw_only=True)
class Touched:
    """The shards of a dataset after a takedown."""

    shards: list[Shard]  # all, those that are new in the places of the old ones
    pairs: list[tuple[Shard, Shard | None]]  # each that was touched, and what it became; None for nothing
    files: list[FileRecord]  # the tables beside the new indexes
    lost: Counter[tuple[int, str]]  # pairs of each (term, source)
    next_number: int


def stage(
    dataset: Dataset,
    request: Request,
    found: Found,
    signed: Signed,
    staged: Path,
    do_not_fetch: Path | None = None,
    work: Path | None = None,
) -> None:
    """Write everything that the dataset will have anew into `staged`. Whoever applies it adds to the list
    `do_not_fetch` and clears the folder `work` of the dataset's build."""
    old, touched = dataset.manifest, write_shards(dataset, found, staged)
    samples = read_table(dataset.root / "samples.parquet")
    write_table(staged / "samples.parquet", samples.filter(pa.array(~found.marks(samples, request))))
    write_counts(dataset, touched.lost, staged)
    write_list(staged / LIST_NAME, read_list(dataset.root / LIST_NAME) | found.lines)
    files = [*touched.files, *write_rejections(dataset, found, staged), write_sizes(touched.shards, staged)]
    files += [record_file(staged, staged / name) for name in TABLES]
    files.append(write_receipt(dataset, request, found, signed, touched.pairs, staged))
    removed = _removed(old.files, touched.pairs)
    anew = {file.path for file in files} | set(removed)
    manifest = following(
        old,
        shards=touched.shards,
        files=[*files, *(file for file in old.files if file.path not in anew)],
        funnel=funnel_without(old.funnel, found.num_pairs),
        change=_change(old.num_pairs, request, found, signed, files[-1].path, touched.next_number),
    )
    before = {file.path for file in old.files}
    names = [name for _, new in touched.pairs if new for name in (new.tar.path, new.index.path)]
    order = {
        # What takes the place of other files comes last: so long is the dataset as its old manifest says.
        "put": sorted([*names, *(file.path for file in files)], key=before.__contains__),
        "remove": removed,
        "receipt": files[-1].path,
        "do_not_fetch": str(do_not_fetch) if do_not_fetch else None,
        "work": str(work.resolve()) if work else None,
        "lines": sorted(found.lines),
    }
    write_bytes(staged / APPLY_NAME, json.dumps(order).encode())
    write_manifest(staged, manifest)


def write_shards(dataset: Dataset, found: Found, staged: Path) -> Touched:
    """Write the shards that lose something under the next free numbers; what loses all has no successor."""
    touched = Touched(
        shards=[], pairs=[], files=[], lost=Counter(), next_number=next_shard_number(dataset.manifest)
    )
    for shard in dataset.manifest.shards:
        gone = np.array(sorted(found.rows.get(shard.index.path, ())), np.int64)
        amended = found.amended.get(shard.index.path, {})
        if not len(gone) and not amended:
            touched.shards.append(shard)
            continue
        touched.lost.update(hits(dataset.read_index(shard, ["query_ids", "source"]).take(gone)))
        new = None
        if len(gone) < shard.num_pairs:
            new, others = write_without(dataset, shard, gone, amended, staged, f"{touched.next_number:05d}")
            touched.shards.append(new)
            touched.files += others
            touched.next_number += 1
        touched.pairs.append((shard, new))
    return touched


def funnel_without(funnel: Sequence[StageCount], num_pairs: int) -> list[StageCount]:
    """Return a funnel whose stage of takedowns, the last where there is none yet, drops so many more."""
    stages = list(funnel)
    if STAGE not in [stage.stage for stage in stages]:
        end = stages[-1].num_out
        stages.append(StageCount(stage=STAGE, num_in=end, num_out=end))
    first = [stage.stage for stage in stages].index(STAGE)
    for place in range(first, len(stages)):
        at, is_first = stages[place], place == first
        stages[place] = replace(
            at,
            num_in=at.num_in - (0 if is_first else num_pairs),
            num_out=at.num_out - num_pairs,
            dropped=at.dropped | {REASON: at.dropped.get(REASON, 0) + num_pairs}
            if is_first and num_pairs
            else at.dropped,
        )
    return stages


def _removed(files: Sequence[FileRecord], touched: Sequence[tuple[Shard, Shard | None]]) -> list[str]:
    """Return the files of the touched shards, which the new dataset does not name."""
    known = {file.path for file in files}
    beside = [path for shard, _ in touched for path in beside_index(shard) if path in known]
    return [path for shard, _ in touched for path in (shard.tar.path, shard.index.path)] + beside


def _change(
    num_pairs: int, request: Request, found: Found, signed: Signed, receipt: str, next_shard: int
) -> Change:
    return Change(
        kind=STAGE,
        request={
            "asked": request.counts,
            "request_sha256": request.digest,
            "signed_by": signed.by,
            "reason": signed.reason,
            "receipt": receipt,
            "next_shard": next_shard,
        },
        num_tried=num_pairs,
        num_gained=num_pairs - found.num_pairs,
        dropped={REASON: found.num_pairs} if found.num_pairs else {},
    )
