"""The command that writes a dataset's report anew."""

from dataclasses import dataclass

import tyro

from manifests.places import Place
from manifests.report import write_report


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write report.html anew: python -m manifests report runs/demo/dataset

    Beside an earlier build: python -m manifests report runs/after --against runs/before
    """

    dataset: tyro.conf.Positional[Place]
    against: Place | None = None
    """An earlier dataset to compare with: pairs gained and lost, both funnels, distributions overlaid."""

    def run(self) -> int:
        """Write the report and print where it is."""
        print(write_report(self.dataset, self.against))
        return 0
