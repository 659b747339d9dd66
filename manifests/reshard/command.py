"""The command line of resharding."""

from dataclasses import dataclass

import tyro

from manifests.places import Place
from manifests.reshard import Order, reshard
from manifests.store import open_dataset


@dataclass(frozen=True, kw_only=True)
class Reshard:
    """Write the same pairs in shards of another size: python -m manifests reshard runs/demo/dataset
    --out runs/small-shards --pairs-per-shard 1000
    """

    dataset: tyro.conf.Positional[Place]
    out: Place
    """Where the new dataset goes; the same command goes on with it after a crash."""
    pairs_per_shard: int
    """Pairs in each shard but the last."""
    order: Order = "key"
    """By key, which is a shuffle over all shards, or as the pairs are."""

    def run(self) -> int:
        """Write the dataset and print how many shards it has."""
        manifest = reshard(open_dataset(self.dataset), self.out, self.pairs_per_shard, self.order)
        print(f"{manifest.num_pairs:,} pairs in {len(manifest.shards)} shards in {self.out}")
        return 0
