"""The sampled rejections of a dataset, by reason and by the pair that was kept in their stead."""

from typing import Any

from manifests.storage import read_table
from manifests.store import Dataset

DUPLICATES = ("exact_duplicate", "near_duplicate")

Row = dict[str, Any]


def read_samples(dataset: Dataset) -> dict[tuple[str, str], list[Row]]:
    """Return the sampled rejections of every (stage, reason) that dropped any, in the order of the funnel."""
    found: dict[tuple[str, str], list[Row]] = {
        (stage.stage, reason): []
        for stage in dataset.manifest.funnel
        for reason, count in stage.dropped.items()
        if count
    }
    for row in read_table(dataset.root / "samples.parquet").to_pylist():
        found.setdefault((row["stage"], row["reason"]), []).append(row)
    return found


def group_duplicates(samples: dict[tuple[str, str], list[Row]]) -> dict[str, list[Row]]:
    """Return the sampled duplicates by the key of the pair kept in their stead, largest group first."""
    groups: dict[str, list[Row]] = {}
    for (_, reason), rows in samples.items():
        for row in rows:
            if reason in DUPLICATES and row["kept_key"]:
                groups.setdefault(row["kept_key"], []).append(row)
    return dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))
