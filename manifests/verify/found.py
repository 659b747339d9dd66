"""What checks of files and shards hand on: what they are to do, and what they have found."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from manifests.schema import Manifest
from manifests.spill import Hashes
from manifests.storage import num_rows
from manifests.verify.tables import UNREADABLE, Hits, Reasons

MAX_PROBLEMS = 20  # of one kind and file that are told one by one


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A file of the dataset and what is wrong with it."""

    path: str
    problem: str

    def __str__(self) -> str:
        return f"{self.path}: {self.problem}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How files are checked, the same for all of a dataset."""

    root: Path
    deep: bool
    num_queries: int  # rows of queries.parquet
    keeps_ratio: bool  # stored pictures show all of what was fetched

    @classmethod
    def of(cls, root: Path, manifest: Manifest, deep: bool) -> "Plan":
        """Read it from a manifest."""
        encode = manifest.config.get("encode")
        mode = encode.get("resize") if isinstance(encode, dict) else None
        keeps_ratio = mode in ("keep_ratio", "keep_ratio_largest", "no")
        return cls(root=root, deep=deep, num_queries=_num_queries(root), keeps_ratio=keeps_ratio)


def _num_queries(root: Path) -> int:
    """Return how many search terms there are, by their table: what a manifest says may be any number."""
    try:
        return num_rows(root / "queries.parquet")
    except UNREADABLE:
        return 0


@dataclass(kw_only=True)
class Found:
    """What a look at a file or shard has found."""

    mismatches: list[Mismatch] = field(default_factory=list)
    keys: Hashes = field(default_factory=lambda: np.empty(0, np.uint64))
    hits: Hits | None = None
    reasons: Reasons = field(default_factory=Reasons)

    def add(self, path: str, problems: Iterable[str]) -> None:
        """Add what is wrong with a file; of very many problems, how many more there are."""
        problems = iter(problems)
        self.mismatches += [Mismatch(path, problem) for problem in islice(problems, MAX_PROBLEMS)]
        if more := sum(1 for _ in problems):
            self.mismatches.append(Mismatch(path, f"and {more} more of the kind"))
