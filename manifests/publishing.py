"""What follows from a change to a dataset's pairs: its next manifest, the numbers of its next shards."""

import datetime
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from manifests.checks import funnel_mismatches
from manifests.schema import Change, FileRecord, Manifest, Shard, StageCount
from manifests.store import content_hash, record_file, write_bytes

# Changes that write a new dataset, whose shards are numbered from 0.
DERIVING = ("score", "select", "merge", "reshard")


def following(
    old: Manifest,
    *,
    shards: Sequence[Shard],
    files: Sequence[FileRecord],
    funnel: Sequence[StageCount],
    change: Change,
) -> Manifest:
    """Return the manifest of a dataset after a change: these shards, these other files, this funnel."""
    num_pairs = sum(shard.num_pairs for shard in shards)
    assert not funnel or num_pairs == funnel[-1].num_out, (num_pairs, funnel[-1])
    assert not (wrong := funnel_mismatches(funnel)), wrong
    assert change.num_tried == change.num_gained + sum(change.dropped.values()), change
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return replace(
        old,
        created_at=now,
        num_pairs=num_pairs,
        funnel=tuple(funnel),
        shards=tuple(shards),
        files=tuple(sorted(files, key=lambda file: file.path)),
        content_hash=content_hash(tuple(shards)),
        history=(*old.history, replace(change, at=now)),
    )


def next_shard_number(manifest: Manifest) -> int:
    """Return the first number that no shard of a dataset has had: names of shards are never used again."""
    numbers = [number_of(shard) + 1 for shard in manifest.shards]
    for change in reversed(manifest.history):
        numbers.append(change.request.get("next_shard", 0))
        if change.kind in DERIVING:
            break
    return max(numbers, default=0)


def number_of(shard: Shard) -> int:
    """Return the number of a shard, by its name."""
    return int(Path(shard.tar.path).stem)


def write_sizes(shards: Sequence[Shard], root: Path) -> FileRecord:
    """Write sizes.json beside the tars, where open_clip looks for the number of pairs in each."""
    sizes = {Path(shard.tar.path).name: shard.num_pairs for shard in shards}
    path = root / "shards" / "sizes.json"
    write_bytes(path, json.dumps(sizes, separators=(",", ":")).encode())
    return record_file(root, path)
