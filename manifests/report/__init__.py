"""The report of a dataset: one HTML file with figures and pictures, that needs no network and no script."""

from pathlib import Path
from typing import Any

from manifests.report import galleries, sections
from manifests.report.against import Earlier, against_section, read_earlier
from manifests.report.changes import history_section
from manifests.report.coverage import collect_coverage, coverage_section
from manifests.report.data import collect_pairs
from manifests.report.distributions import captions_section, sizes_section
from manifests.report.dropped import group_duplicates, read_samples
from manifests.report.looks import looks_section, measure_looks
from manifests.report.origins import origins_section
from manifests.report.page import render_page
from manifests.report.sampling import MAX_PAIRS, sample_shards
from manifests.report.scores import scores_section
from manifests.report.terms import collect_queries
from manifests.store import Dataset, open_dataset, write_bytes


def write_report(root: Path, against: Path | None = None, max_pairs: int = MAX_PAIRS) -> Path:
    """Write `<root>/report.html` for the finished dataset at `root` and return its path.

    Reads the index shard by shard, of some shards only where there are more than `max_pairs` pairs, and the
    pictures only of the pairs that it shows or measures. With `against`, an earlier dataset, the report says
    what has changed since. Raises DatasetError where there is no finished dataset.
    """
    dataset = open_dataset(root)
    earlier = None if against is None else read_earlier(open_dataset(against), dataset, max_pairs)
    path = dataset.root / "report.html"
    write_bytes(path, _page(dataset, earlier, max_pairs).encode("utf-8"))
    return path


def _page(dataset: Dataset, earlier: Earlier | None, max_pairs: int) -> str:
    manifest = dataset.manifest
    samples = read_samples(dataset)
    groups = group_duplicates(samples)
    pairs = collect_pairs(dataset, sample_shards(manifest, max_pairs), survivor_keys=groups)
    shown = galleries.shown_pairs(pairs)
    cap = _cap(manifest.config)
    queries = collect_queries(
        dataset, {query_id for pair in shown for query_id in pair.row["query_ids"] or ()}, cap
    )
    coverage = (
        None if cap is None else collect_coverage(dataset, cap, manifest.config["cap"].get("rule", "exact"))
    )
    before = earlier.pairs if earlier else None
    return render_page(
        title=manifest.name,
        summary=sections.summary(manifest, pairs.sample),
        sections=[
            sections.funnel_section(manifest),
            against_section(dataset, earlier),
            galleries.kept_section(dataset, pairs, queries.texts),
            sections.reasons_section(manifest),
            origins_section(manifest, pairs, before),
            sections.queries_section(manifest, queries, cap),
            coverage_section(coverage),
            captions_section(pairs, before),
            sizes_section(pairs, before),
            looks_section(pairs, measure_looks(dataset, pairs), earlier.looks if earlier else None),
            scores_section(pairs, before),
            galleries.duplicates_section(dataset, groups, pairs),
            galleries.rejections_section(samples, sections.counts_by_reason(manifest)),
            history_section(manifest),
            sections.config_section(manifest),
        ],
    )


def _cap(config: dict[str, Any]) -> int | None:
    """Return how many pairs a search term could keep; None for a dataset whose build had no such limit."""
    cap = config.get("cap")
    limit = cap.get("max_pairs_per_query") if isinstance(cap, dict) else None
    return limit if isinstance(limit, int) else None
