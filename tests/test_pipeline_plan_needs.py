"""What so many pairs take: sums that can be done by hand, and prices that say whose they are."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.config import BuildConfig, Cap, RunOptions
from pipeline.plan.needs import Needs, Rates, needs_of
from pipeline.plan.predict import Assumed
from pipeline.plan.prices import Prices, costs_of
from pipeline.select import NUM_LANES

RATES = Rates(candidates_per_fetched=10, candidate_us=360, fetch_us=3_600, row_us=72, driver_us=7.2)
ASSUMED = Assumed(picture_bytes=100_000, stored_bytes=30_000, pictures_per_s=100)


def needs(num_pairs: int, workers: int = 4, **assumed: Any) -> Needs:
    config = BuildConfig(cap=Cap(survival=0.5), pairs_per_shard=300)
    options = RunOptions(dataset=Path("x"), workers=workers)
    return needs_of(num_pairs, config, options, Assumed(**{**vars(ASSUMED), **assumed}), RATES)


def test_every_part_is_divided_by_the_workers_but_for_the_drivers() -> None:
    found = needs(500_000)
    assert (found.num_candidates, found.num_fetched, found.num_shards) == (10_000_000, 1_000_000, 1_667)
    hours = (found.find_hours, found.fetch_hours, found.rows_hours, found.driver_hours)
    assert hours == pytest.approx((0.25, 10_000 / 4 / 3600, 0.005, 0.002))
    assert found.hours == pytest.approx(sum(hours))
    assert found.driver_memory_bytes == 1_000_000 * RATES.driver_bytes


def test_the_fetch_takes_what_hosts_allow_or_what_processors_do_whichever_is_longer() -> None:
    assert needs(500_000, pictures_per_s=1e6).fetch_hours == pytest.approx(0.25)
    slow = needs(500_000, pictures_per_s=10)
    assert slow.fetch_hours == pytest.approx(25_000 / 3600)
    assert slow.gbit_per_s == pytest.approx(10 * 4 * 100_000 * 8 / 1e9)


def test_more_workers_than_lanes_do_not_fetch_faster() -> None:
    most, more = needs(500_000, workers=NUM_LANES), needs(500_000, workers=2 * NUM_LANES)
    assert more.fetch_hours == most.fetch_hours == needs(500_000).fetch_hours * 4 / NUM_LANES
    assert more.find_hours == most.find_hours / 2


def test_only_what_has_a_price_is_added_up() -> None:
    prices = Prices(core_hour=0.5, disk_gb_month=0.1, source="mine, 2026-11-21")
    costs = costs_of(
        prices,
        workers=4,
        hours=73,
        download_bytes=10**12,
        disk_bytes=2 * 10**12,
        stored_bytes=10**12,
    )
    assert costs == pytest.approx({"cores": 146.0, "disk": 20.0})


PLAN = ("plan", "webimagetext-400m", "--num-pairs", "400000000", "--workers", "64")


def test_the_command_prints_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    priced = ("--prices.core-hour", "2", "--prices.source", "mine, 2026-11-21")
    assert main([*PLAN, *priced]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "kept              400,000,000 pairs in 40,000 shards, 14.8 TB" in lines
    assert lines[-1] == "prices: mine, 2026-11-21"
    assert main([*PLAN, *priced, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["costs"]["cores"] == pytest.approx(2 * 64 * found["hours"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--num-pairs", "0"), "num-pairs must be >= 1, not 0"),
        (("--prices.core-hour", "1"), "prices.source: none, and a price means nothing without. Next: "),
        (("--prices.core-hour", "-1", "--prices.source", "x"), "prices.core-hour must be >= 0, not -1.0"),
        (("--rates.fetch-us", "0"), "rates.fetch-us must be > 0, not 0.0"),
    ],
)
def test_a_wrong_value_is_one_line(
    flags: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PLAN, *flags]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
