"""The command line of selections."""

from dataclasses import dataclass

import tyro

from manifests.ids import Ids
from manifests.places import Place
from manifests.store import open_dataset, sha256_of_file
from manifests.subset import Choice, select
from manifests.where import Where


@dataclass(frozen=True, kw_only=True)
class Select:
    """Make a new dataset of some pairs: python -m manifests select runs/demo/dataset --out runs/large
    --where "width >= 128 and language = 'en'"

    No picture is decoded; shards that stay whole are linked. The old dataset stays as it is.
    """

    dataset: tyro.conf.Positional[Place]
    out: Place | None = None
    """Where the new dataset goes; the same command goes on with it after a crash."""
    where: str = ""
    """A condition on the columns of an index, in DuckDB's SQL (needs the extra sql)."""
    ids: Place | None = None
    """A file of keys: a text with one a line, or a parquet table with a column key."""
    per_query_cap: int | None = None
    """Leave out pairs all of whose search terms have so many already; first come, first kept."""
    max_pairs: int | None = None
    """Keep so many: those with the lowest keys, which are hashes, so that they are a fair sample."""
    dry_run: bool = False
    """Only say how many pairs would stay."""

    def run(self) -> int:
        """Write the dataset and print how much it holds."""
        source = open_dataset(self.dataset)
        choice = Choice(
            where=Where(self.where) if self.where else None,
            ids=Ids(self.ids) if self.ids else None,
            max_pairs_per_query=self.per_query_cap,
            max_pairs=self.max_pairs,
        )
        if self.dry_run:
            num_kept = sum(int(mask.sum()) for _, mask in choice.masks(source))
            print(f"{num_kept:,} of {source.manifest.num_pairs:,} pairs would stay")
            return 0
        if self.out is None:
            raise ValueError("no --out: say where the new dataset goes, or give --dry-run")
        manifest = select(source, choice, self.out, self._asked())
        print(f"{manifest.num_pairs:,} of {source.manifest.num_pairs:,} pairs in {self.out}")
        return 0

    def _asked(self) -> dict[str, object]:
        """Return what decides the choice, as it stands in the manifest."""
        asked = {
            "where": self.where,
            "ids": f"sha256:{sha256_of_file(self.ids)}" if self.ids else None,
            "per_query_cap": self.per_query_cap,
            "max_pairs": self.max_pairs,
        }
        return {name: value for name, value in asked.items() if value}
