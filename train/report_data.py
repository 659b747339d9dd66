"""The part of a run's report that shows what it learns from: each dataset, its share, how far it has come."""

from typing import Any

from manifests.report.page import Section, number, table

Json = dict[str, Any]


def data_section(dataset: Json, num_samples: int) -> Section:
    """Return the datasets of a run that has learnt from so many samples; `dataset` is config.json's."""
    parts = dataset.get("parts", {dataset["name"]: dataset}) if dataset else {}
    # As `train.mix` counts the pairs of an epoch.
    taken = {name: max(1, round(part.get("passes", 1) * part["num_pairs"])) for name, part in parts.items()}
    total = sum(taken.values())
    rows = [
        (
            name,
            number(part["num_pairs"]),
            number(part.get("passes", 1)),
            f"{taken[name] / total:.1%}",
            number(num_samples * taken[name] / total / part["num_pairs"]),
            part["content_hash"][:16],
        )
        for name, part in parts.items()
    ]
    columns = ("dataset", "pairs", "passes an epoch", "share of a batch", "passes so far", "content")
    body = table(columns, rows, caption="Datasets of the run") if rows else ""
    return Section(anchor="data", title="Data", body=body)
