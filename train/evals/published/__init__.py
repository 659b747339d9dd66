"""Figures that others published, each with its source and, where it is known, the compute behind it.

results.csv: zero-shot and probe figures of the datasets of the registry and of natural shifts.
reference_models.csv: accuracies of models trained on ImageNet, which robustness is measured against.
"""

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PublishedRow:
    """A published figure to stand beside ours."""

    model: str
    training_data: str
    evaluation: str  # zero_shot or probe
    dataset: str
    percent: float
    billion_pairs_seen: float
    train_exaflop: float  # 2 a multiplication and addition, three times the forward pass, of all pairs seen
    source: str


def published_rows(dataset: str, evaluation: str) -> list[PublishedRow]:
    """Return what others published of a dataset by an evaluation, from the least compute to the most."""
    rows = [
        PublishedRow(
            model=row["model"],
            training_data=row["training_data"],
            evaluation=row["evaluation"],
            dataset=row["dataset"],
            percent=float(row["percent"]),
            billion_pairs_seen=float(row["billion_pairs_seen"]),
            train_exaflop=float(row["train_exaflop"]),
            source=row["source"],
        )
        for row in read_table(Path(__file__).with_name("results.csv"))
        if (row["dataset"], row["evaluation"]) == (dataset, evaluation)
    ]
    return sorted(rows, key=lambda row: (row.train_exaflop, row.model, row.source))


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file. Raises ValueError where there is none."""
    if not path.exists():
        raise ValueError(f"no table at {path}. Next: pass a CSV file")
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
