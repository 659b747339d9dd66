"""Whole configurations by name. Each docstring says what it is for, the hardware and the time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from filters.checks import ImageChecks
from pipeline.config import BuildConfig, Cap, RunOptions
from pipeline.limits import Encode, Fetch


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What to build and how to run it."""

    config: Annotated[BuildConfig, tyro.conf.arg(name="")] = field(default_factory=BuildConfig)
    run: Annotated[RunOptions, tyro.conf.arg(name="")]


def demo() -> Recipe:
    """The sample web, drawn and served on this machine: some 3,000 candidates, two minutes on 2 cores."""
    return Recipe(
        config=BuildConfig(
            fetch=Fetch(
                contact="the sample web is our own",
                timeout_s=3.0,
                connect_timeout_s=2.0,
                max_bytes=4_000_000,
                max_retry_after_s=5.0,
                per_host_concurrency=16,
                per_host_interval_s=0.0,
                pairs_per_unit=200,
            ),
            pairs_per_shard=1_000,
        ),
        run=RunOptions(dataset=Path("runs/demo/dataset"), sample_web=Path("runs/sample-web")),
    )


def laptop() -> Recipe:
    """Your own search terms on one machine, up to about a million candidates. Give --queries and a source.
    At the default pace a host gives 10 pictures a second; 2 cores encode some 200 a second."""
    return Recipe(run=RunOptions(dataset=Path("runs/dataset")))


def webimagetext_400m() -> Recipe:
    """WebImageText's own figures: 500,000 terms, at most 20,000 pairs each, shards of 10,000 pairs. For a
    cluster: 400 million pairs are about 15 TB at this size."""
    return Recipe(
        config=BuildConfig(
            cap=Cap(max_pairs_per_query=20_000),
            fetch=Fetch(pairs_per_unit=5_000),
            image=ImageChecks(),
            encode=Encode(side_px=256),
        ),
        run=RunOptions(dataset=Path("runs/webimagetext"), workers=16),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    "demo": demo,
    "laptop": laptop,
    "webimagetext-400m": webimagetext_400m,
}
