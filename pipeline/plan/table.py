"""A plan as a table to read."""

from collections.abc import Iterator, Mapping

from pipeline.plan.needs import Needs
from pipeline.plan.predict import Plan
from pipeline.plan.prices import Prices


def plan_lines(plan: Plan) -> list[str]:
    """Return the lines of the table."""
    return [*_sources(plan), "", *_build(plan), "", *_fullness(plan), "", *_assumed(plan)]


def needs_lines(needs: Needs) -> list[str]:
    """Return the lines of a plan that looked at nothing."""
    rows = {
        "candidates": f"{needs.num_candidates:>15,} read, matched, screened, {size(needs.crawl_bytes)}",
        "fetched": f"{needs.num_fetched:>15,} pictures, a request each, {size(needs.download_bytes)}",
        "kept": f"{needs.num_pairs:>15,} pairs in {needs.num_shards:,} shards, {size(needs.stored_bytes)}",
        "workers": f"{needs.workers:>15,} of a core each",
        "find": f"{needs.find_hours:>13,.2f} h",
        "fetch": f"{needs.fetch_hours:>13,.2f} h, {needs.gbit_per_s:.2f} Gbit/s",
        "rows": f"{needs.rows_hours:>13,.2f} h for caps, copies, order, shards",
        "driver": f"{needs.driver_hours:>13,.2f} h, whatever the workers",
        "all": f"{needs.hours:>13,.2f} h, {needs.workers * needs.hours:,.0f} core-hours",
        "disk": f"{size(needs.disk_bytes):>15} with what is staged while it is built",
        "memory": f"{size(needs.driver_memory_bytes):>15} of the driver, by the direct runner",
    }
    return [f"{name:<14}{row}" for name, row in rows.items()]


def cost_lines(costs: Mapping[str, float], prices: Prices) -> list[str]:
    """Return what each part costs, and all of them; nothing where no price is given."""
    if not prices:
        return []
    every = {**costs, "all of these": sum(costs.values())}
    lines = [f"cost{'':<10}{amount:>15,.2f} {part}" for part, amount in every.items()]
    return ["", *lines, f"prices: {prices.source}"]


def _sources(plan: Plan) -> Iterator[str]:
    heads = f"{'requests':>12}{'errors':>9}{'hours':>10}"
    yield f"{'source':<14}{'sampled':>16}{'candidates':>14}{'pairs':>14}{heads}"
    for source in plan.sources:
        sampled = f"{source.num_sampled:,} of {source.num_units:,}"
        yield (
            f"{source.source:<14}{sampled:>16}{source.num_candidates:>14,}{source.num_pairs:>14,}"
            f"{source.num_requests:>12,}{source.num_errors:>9,}{source.hours:>10,.2f}"
        )


def _build(plan: Plan) -> Iterator[str]:
    yield f"matched       {plan.num_matched:>15,} pairs, at most"
    yield f"fetched       {plan.num_fetched:>15,} pictures after the cap, {size(plan.download_bytes)}"
    yield f"kept          {plan.num_kept:>15,} pairs"
    yield f"disk          {size(plan.disk_bytes):>15} with what is staged while it is built"
    yield f"fetch         {plan.fetch_hours:>13,.2f} h"
    yield f"all           {plan.total_hours:>13,.2f} h"
    for host, number in plan.requests_per_host.items():
        yield f"host          {number:>15,} requests to {host}"
    if plan.requests_per_host:
        yield f"busiest host  {plan.busiest_host_hours:>13,.2f} h at its pace"


def _fullness(plan: Plan) -> Iterator[str]:
    full = plan.fullness
    yield f"terms         {full.num_terms:>15,}"
    yield f"  full        {full.share_full:>15.1%} have enough for their cap"
    yield f"  a tenth     {full.share_tenth:>15.1%} have a tenth of that or more"
    yield f"  seen        {full.share_seen:>15.1%} occur in the sample"


def _assumed(plan: Plan) -> Iterator[str]:
    assumed = plan.assumed
    yield (
        f"assumed: {assumed.picture_bytes:,} bytes a picture, {assumed.stored_bytes:,} a stored pair, "
        f"{assumed.pictures_per_s:g} pictures a second and worker;"
    )
    yield "the share that survives is cap.survival. Duplicates beyond the sample are not seen."


def size(num_bytes: float) -> str:
    """Return a number of bytes in the unit that suits it.

    >>> size(999), size(37_000), size(15e12)
    ('999 B', '37.0 kB', '15.0 TB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if num_bytes < 1000 or unit == "TB":
            break
        num_bytes /= 1000
    return f"{num_bytes:.0f} B" if unit == "B" else f"{num_bytes:,.1f} {unit}"
