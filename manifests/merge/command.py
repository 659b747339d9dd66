"""The command line of merges."""

from dataclasses import dataclass

import tyro

from manifests.merge import merge
from manifests.places import Place
from manifests.store import open_dataset


@dataclass(frozen=True, kw_only=True)
class Merge:
    """Make one dataset of several: python -m manifests merge runs/one runs/other --out runs/both

    Of copies those of the dataset named first stay. Its shards are linked, search terms are united.
    """

    datasets: tyro.conf.Positional[tuple[Place, ...]]
    out: Place
    """Where the new dataset goes; the same command goes on with it after a crash."""
    max_distance: int | None = None
    """Also drop pictures whose perceptual hashes differ in at most so many bits; up to some million pairs."""

    def run(self) -> int:
        """Write the dataset and print what was dropped."""
        manifest = merge([open_dataset(place) for place in self.datasets], self.out, self.max_distance)
        stage = manifest.funnel[-1]
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in stage.dropped.items())
        print(f"{stage.num_out:,} of {stage.num_in:,} pairs in {self.out}; {reasons or 'no copies'}")
        return 0
