"""The command that describes a dataset in MLCommons Croissant."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from manifests.croissant import NAME, Publication, croissant
from manifests.places import Place
from manifests.store import open_dataset, write_bytes


@dataclass(frozen=True, kw_only=True)
class Croissant:
    """Write croissant.json beside the manifest, which mlcroissant and dataset searches read.

    python -m manifests croissant runs/mine --url https://example.org/mine --licence https://example.org/terms
    """

    dataset: tyro.conf.Positional[Place]
    said: Annotated[Publication, tyro.conf.arg(name="")] = field(default_factory=Publication)

    def run(self) -> int:
        """Write the file and print where it is."""
        dataset = open_dataset(self.dataset)
        path = dataset.root / NAME
        write_bytes(path, croissant(dataset, self.said))
        print(path)
        return 0
