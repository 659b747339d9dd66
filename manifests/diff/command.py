"""The command that compares two datasets."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from manifests.diff import diff
from manifests.diff.text import keys_to_text, to_json, to_text
from manifests.places import Place
from manifests.store import open_dataset


@dataclass(frozen=True, kw_only=True)
class Diff:
    """Say what differs between two datasets: configuration, funnel, search terms, pairs and why.

    python -m manifests diff runs/before runs/after
    """

    old: tyro.conf.Positional[Place]
    new: tyro.conf.Positional[Place]
    json: bool = False
    """Print one line of JSON; with --keys, one more for each pair."""
    keys: bool = False
    """Also print each pair that is lost or gained: its key and what the other dataset says of it."""

    def run(self) -> int:
        """Print what differs; exit status 0 where nothing does, else 1, as diff has it."""
        with TemporaryDirectory(prefix="openwit-diff-") as folder:
            found = diff(open_dataset(self.old), open_dataset(self.new), Path(folder))
            print(to_json(found) if self.json else "\n".join(to_text(found)))
            for line in keys_to_text(found, as_json=self.json) if self.keys else ():
                print(line)
        return 0 if found.is_empty else 1
