"""python -m manifests verify: what it prints."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from manifests.places import Place
from manifests.store import MANIFEST_NAME, DatasetError, manifest_from_bytes
from manifests.verify import Options, verify


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Check every file of a dataset against its manifest: python -m manifests verify runs/demo/dataset"""

    dataset: tyro.conf.Positional[Place]
    deep: bool = False
    """Also decode every picture, compare texts and facts with the index, and count what tables count."""
    workers: int = 1
    """Processes."""
    resume: Path | None = None
    """A file that notes what was found right, and is removed at the end: with it, a verification that was
    killed goes on."""
    json: bool = False
    """Print one JSON object."""

    def run(self) -> int:
        """Print every mismatch; exit status 1 where there is one."""
        if self.workers < 1:
            raise ValueError(f"--workers must be >= 1, not {self.workers}")
        options = Options(deep=self.deep, workers=self.workers, journal=self.resume)
        mismatches = []
        for mismatch in verify(self.dataset, options):
            mismatches.append(asdict(mismatch))
            if not self.json:
                print(mismatch, flush=True)
        told = {"dataset": str(self.dataset), "whole": not mismatches, "mismatches": mismatches}
        if self.json:
            print(json.dumps(told | _counts(self.dataset), indent=1, ensure_ascii=False))
        elif mismatches:
            print(f"{len(mismatches)} mismatches in {self.dataset}")
        else:
            counts = _counts(self.dataset)
            print(f"{self.dataset} is whole: {counts['num_pairs']:,} pairs in {counts['num_shards']} shards")
        return 1 if mismatches else 0


def _counts(root: Path) -> dict[str, int]:
    """Return how many pairs and shards a manifest tells, nothing where there is none."""
    try:
        manifest = manifest_from_bytes((root / MANIFEST_NAME).read_bytes())
    except (OSError, DatasetError):
        return {}
    return {"num_pairs": manifest.num_pairs, "num_shards": len(manifest.shards)}
