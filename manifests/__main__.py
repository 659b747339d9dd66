"""The command line: python -m manifests show | diff | verify | report | status DIR."""

import sys
from dataclasses import dataclass
from typing import Annotated

import tyro

from manifests.card.command import Card
from manifests.croissant.command import Croissant
from manifests.diff.command import Diff
from manifests.merge.command import Merge
from manifests.places import Place
from manifests.protocols import store_errors
from manifests.report.command import Report
from manifests.reshard.command import Reshard
from manifests.show import Show
from manifests.status import write_status
from manifests.subset.command import Select
from manifests.takedown.command import Takedown
from manifests.verify.command import Verify

USAGE = """Look at a finished dataset.

    python -m manifests show runs/demo/dataset
    python -m manifests diff runs/before runs/after
    python -m manifests verify runs/demo/dataset
    python -m manifests report runs/demo/dataset
    python -m manifests report runs/after --against runs/before
    python -m manifests status runs/demo/dataset --out status.parquet
    python -m manifests card runs/demo/dataset
    python -m manifests croissant runs/demo/dataset
    python -m manifests select runs/demo/dataset --out runs/large --where 'width >= 128'
    python -m manifests merge runs/one runs/other --out runs/both
    python -m manifests reshard runs/demo/dataset --out runs/small-shards --pairs-per-shard 1000
    python -m manifests takedown runs/demo/dataset --domain example.com --reason ... --signed-by ...
"""


@dataclass(frozen=True, kw_only=True)
class Status:
    """Write what became of every pair that was tried, in img2dataset's columns and words."""

    dataset: tyro.conf.Positional[Place]
    out: Place
    """The parquet file to write."""

    def run(self) -> int:
        """Write the table and print how long it is."""
        print(f"{write_status(self.dataset, self.out):,} rows in {self.out}")
        return 0


Command = (
    Annotated[Show, tyro.conf.subcommand("show")]
    | Annotated[Diff, tyro.conf.subcommand("diff")]
    | Annotated[Verify, tyro.conf.subcommand("verify")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Status, tyro.conf.subcommand("status")]
    | Annotated[Card, tyro.conf.subcommand("card")]
    | Annotated[Croissant, tyro.conf.subcommand("croissant")]
    | Annotated[Select, tyro.conf.subcommand("select")]
    | Annotated[Merge, tyro.conf.subcommand("merge")]
    | Annotated[Reshard, tyro.conf.subcommand("reshard")]
    | Annotated[Takedown, tyro.conf.subcommand("takedown")]
)


def main(arguments: list[str]) -> int:
    """Run a command; return 0 done, 1 the dataset is not whole or not reached, 2 the request was wrong."""
    command = tyro.cli(Command, args=arguments, prog="python -m manifests", description=USAGE)
    try:
        return command.run()
    except ValueError as error:
        sys.stderr.write(f"manifests: {error}\n")
        return 2
    except store_errors() as error:
        sys.stderr.write(f"manifests stopped: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
