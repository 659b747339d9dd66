"""The report of a dataset: one HTML file with figures and pictures, that needs no network and no script."""

from pathlib import Path
from typing import Any

from manifests.report import galleries, sections
from manifests.report.coverage import collect_coverage, coverage_section
from manifests.report.data import collect_pairs, collect_queries, group_duplicates, read_samples
from manifests.report.page import render_page
from manifests.report.scores import collect_scores, scores_section
from manifests.store import open_dataset, write_bytes

NUM_CLUSTERS_SHOWN = 12


def write_report(root: Path) -> Path:
    """Write `<root>/report.html` for the finished dataset at `root` and return its path.

    Reads the index shard by shard, and the pictures only of the pairs that it shows.
    Raises DatasetError where there is no finished dataset.
    """
    dataset = open_dataset(root)
    samples = read_samples(dataset)
    groups = dict(list(group_duplicates(samples).items())[:NUM_CLUSTERS_SHOWN])
    pairs = collect_pairs(dataset, survivor_keys=groups)
    shown_ids = {query_id for pair in pairs.kept_sample for query_id in pair.row["query_ids"] or ()}
    cap = _cap(dataset.manifest.config)
    queries = collect_queries(dataset, shown_ids, max_pairs_per_query=cap)
    coverage = (
        None
        if cap is None
        else collect_coverage(dataset, cap, dataset.manifest.config["cap"].get("rule", "exact"))
    )
    page = render_page(
        title=dataset.manifest.name,
        summary=sections.summary(dataset.manifest),
        sections=[
            sections.funnel_section(dataset.manifest),
            galleries.kept_section(dataset, pairs, queries),
            sections.reasons_section(dataset.manifest, samples),
            sections.origins_section(pairs),
            sections.queries_section(dataset.manifest, queries),
            coverage_section(coverage),
            sections.captions_section(pairs),
            sections.sizes_section(pairs),
            scores_section(collect_scores(dataset)),
            galleries.duplicates_section(dataset, groups, pairs),
            galleries.rejections_section(samples),
            sections.config_section(dataset.manifest),
        ],
    )
    path = Path(root) / "report.html"
    write_bytes(path, page.encode("utf-8"))
    return path


def _cap(config: dict[str, Any]) -> int | None:
    """Return how many pairs a search term could keep; None for a dataset whose build had no such limit."""
    cap = config.get("cap")
    limit = cap.get("max_pairs_per_query") if isinstance(cap, dict) else None
    return limit if isinstance(limit, int) else None
