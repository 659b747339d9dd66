"""A build of ours, cut in two for measuring: `python -m tests.bench.fetch_ours select|fetch|build ...`."""

import sys
from dataclasses import replace
from pathlib import Path

from pipeline.begin import begun
from pipeline.build import FETCH, FIND, SELECT, build
from pipeline.config import BuildConfig, Cap, Dedup, RunOptions
from pipeline.limits import Fetch
from pipeline.sources import Sources
from pipeline.sources.table import Table


def main(what: str, table: str, queries: str, dataset: str, connect_to: str) -> None:
    """Run all that comes before the fetch, the fetch alone, or the whole build; print the pairs fetched."""
    config = BuildConfig(
        queries=queries,
        sources=replace(Sources(), table=Table(paths=(table,))),
        fetch=Fetch(contact="bench@example.org", per_host_concurrency=64, per_host_interval_s=0.0),
        # The same few pictures come again and again under other addresses.
        dedup=Dedup(max_distance=None),
        cap=Cap(max_pairs_per_query=10_000_000),
    )
    options = RunOptions(dataset=Path(dataset), connect_to=(connect_to,), quiet=True)
    if what == "build":
        stages = {stage.stage: stage for stage in build(config, options).funnel}
        print(stages["image"].num_out)
        return
    with begun(config, options) as job:
        if what == "select":
            job.run_phases(FIND)
            job.run_phases(SELECT)
        else:
            job.run_phases({"fetched": FETCH["fetched"]})
            print(sum(part.num_rows() for part in job.parts("fetched")))


if __name__ == "__main__":
    main(*sys.argv[1:])
