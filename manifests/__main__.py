"""The command line: python -m manifests show | diff | verify | report | status DIR."""

import sys
from dataclasses import dataclass
from typing import Protocol

import tyro

from manifests.card.command import Card
from manifests.command_line import parse
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


class Command(Protocol):
    """What every command is: its flags, and a way to run it."""

    def run(self) -> int:
        """Run; return the exit status."""


COMMANDS: dict[str, type[Command]] = {
    "show": Show,
    "diff": Diff,
    "verify": Verify,
    "report": Report,
    "status": Status,
    "card": Card,
    "croissant": Croissant,
    "select": Select,
    "merge": Merge,
    "reshard": Reshard,
    "takedown": Takedown,
}


def main(arguments: list[str]) -> int:
    """Run a command; return 0 done, 1 the dataset is not whole or not reached, 2 the request was wrong."""
    name, *rest = arguments or [""]
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    try:
        if name not in COMMANDS:
            known = ", ".join(COMMANDS)
            given = f"unknown command {name!r}" if name else "no command"
            raise ValueError(f"{given}, known: {known}. Next: python -m manifests --help")
        command = parse(COMMANDS[name], rest, f"python -m manifests {name}")
        return command.run()
    except ValueError as error:
        sys.stderr.write(f"manifests: {error}\n")
        return 2
    except store_errors() as error:
        sys.stderr.write(f"manifests stopped: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
