"""The command that writes a dataset's data card."""

from dataclasses import dataclass, field
from typing import Annotated

import tyro

from manifests.card import NAME, card, is_card
from manifests.croissant import Publication
from manifests.places import Place
from manifests.store import open_dataset, write_bytes


@dataclass(frozen=True, kw_only=True)
class Card:
    """Write the data card, README.md in the dataset: python -m manifests card runs/mine

    With it, Hugging Face's load_dataset("runs/mine") gives pictures and captions.
    """

    dataset: tyro.conf.Positional[Place]
    out: Place | None = None
    """Another file to write it to."""
    said: Annotated[Publication, tyro.conf.arg(name="")] = field(default_factory=Publication)

    def run(self) -> int:
        """Write the card and print where it is."""
        dataset = open_dataset(self.dataset)
        path = self.out or dataset.root / NAME
        if path.exists() and not is_card(path):
            raise ValueError(f"{path} is not a data card of ours, and is kept. Next: --out card.md")
        write_bytes(path, card(dataset, self.said).encode())
        print(path)
        return 0
