"""The units of a place: of a dataset or tars its shards, of a folder its files and videos."""

from collections.abc import Sequence
from pathlib import Path

from manifests.storage import is_local
from manifests.store import MANIFEST_NAME
from train.plain_tars import open_pairs
from train.search.folder import PICTURES, VIDEOS, folder_units
from train.search.shard import ShardUnit
from train.search.unit import Unit


def units_of(place: Path, every_s: float) -> Sequence[Unit]:
    """Return the units of a dataset, a folder of tars, or a folder of pictures and videos.

    Raises ValueError where there is nothing of these.
    """
    if (place / MANIFEST_NAME).exists() or not is_local(place) or any(place.glob("*.tar")):
        dataset = open_pairs(place)
        return [ShardUnit(dataset=dataset, shard=shard) for shard in dataset.manifest.shards]
    if not place.is_dir():
        raise ValueError(
            f"--data {place} is no folder. Next: give a dataset, a folder of tars or of pictures"
        )
    found = list(folder_units(place, every_s))
    if not found:
        known = " ".join((*PICTURES, *VIDEOS))
        raise ValueError(f"--data {place} holds no file that can be indexed. Known: {known}")
    return found
