"""A plan as a table to read."""

from collections.abc import Iterator

from pipeline.plan.predict import Plan


def plan_lines(plan: Plan) -> list[str]:
    """Return the lines of the table."""
    return [*_sources(plan), "", *_build(plan), "", *_fullness(plan), "", *_assumed(plan)]


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
