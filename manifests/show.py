"""What a dataset holds, from its manifest alone."""

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import tyro

from manifests.braces import braced
from manifests.places import Place
from manifests.schema import Change, Manifest
from manifests.store import read_manifest

ADDING = ("retry", "extend")  # the changes that look at what is not in a dataset


@dataclass(frozen=True, kw_only=True)
class Show:
    """Print what a dataset holds: python -m manifests show runs/demo/dataset"""

    dataset: tyro.conf.Positional[Place]
    json: bool = False
    """Print the whole manifest, with the pattern of the shards and the sums of bytes."""

    def run(self) -> int:
        """Print the counts, the funnel and the history, or the whole manifest."""
        manifest = read_manifest(self.dataset)
        if self.json:
            everything = asdict(manifest) | {
                "tars": tars(self.dataset, manifest),
                "num_bytes": sizes(manifest),
            }
            json.dump(everything, sys.stdout, indent=1, ensure_ascii=False)
            print()
        else:
            print("\n".join(lines(self.dataset, manifest)))
        return 0


def tars(root: Path, manifest: Manifest) -> str:
    """Return the pattern that open_clip and webdataset take for all shards; empty without any."""
    paths = [PurePosixPath(shard.tar.path) for shard in manifest.shards]
    return f"{root}/{paths[0].parent}/{braced([path.stem for path in paths])}.tar" if paths else ""


def sizes(manifest: Manifest) -> dict[str, int]:
    """Return how many bytes the shards' tars, their indexes and all other files have."""
    return {
        "tars": sum(shard.tar.num_bytes for shard in manifest.shards),
        "indexes": sum(shard.index.num_bytes for shard in manifest.shards),
        "other_files": sum(file.num_bytes for file in manifest.files),
    }


def lines(root: Path, manifest: Manifest) -> Iterator[str]:
    """Yield what a person wants to know of a dataset."""
    size, num_shards = sizes(manifest), len(manifest.shards)
    yield f"{manifest.name}: {manifest.num_pairs:,} pairs in {num_shards:,} shards of {size['tars']:,} bytes"
    yield f"with indexes ({size['indexes']:,}) and other files {sum(size.values()):,} bytes"
    yield f"made {manifest.created_at} by {manifest.code_version}, content {manifest.content_hash[:16]}"
    if manifest.shards:
        yield f"--train-data '{tars(root, manifest)}'"
    for stage in manifest.funnel:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in stage.dropped.items())
        yield f"  {stage.stage:<10} {stage.num_in:>13,} -> {stage.num_out:>13,}  {reasons}".rstrip()
    yield from map(_line, manifest.history)


def _line(change: Change) -> str:
    asked = " ".join([change.kind, *map(str, change.request.get("where", ()))])
    word = "gained" if change.kind in ADDING else "kept"
    return f"{asked}: {change.num_gained:,} {word} of {change.num_tried:,} tried"
