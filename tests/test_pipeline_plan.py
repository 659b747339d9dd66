"""Plans: what a sample predicts, against what is there."""

import doctest
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.__main__ import main
from pipeline.config import BuildConfig, Cap, RunOptions
from pipeline.limits import Fetch
from pipeline.plan import sample as sampling
from pipeline.plan import table
from pipeline.plan.predict import Assumed, Plan, make_plan, predict
from pipeline.plan.sample import Sample, Sampled, SourcePlan
from pipeline.sample_web.server import Web, serving
from pipeline.sources import Sources
from pipeline.sources.openverse import Openverse
from pipeline.sources.table import Table
from tests.search_servers import OPENVERSE, OpenverseApi

TERMS = ["cup", "dog", "red cup", "zebra"]


@pytest.fixture
def terms(tmp_path: Path) -> Path:
    path = tmp_path / "terms.txt"
    path.write_text("\n".join(TERMS))
    return path


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Six tables of ten captions: five of a red cup, four of a dog, one of nothing that is looked for."""
    captions = ["a small red cup on a table"] * 5 + ["a brown dog runs on the beach"] * 4 + ["a green house"]
    for number in range(6):
        rows = [
            {"url": f"http://host{place % 2}.example/{number}/{place}.jpg", "caption": caption}
            for place, caption in enumerate(captions)
        ]
        (tmp_path / f"{number}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def options(folder: Path, **settings: Any) -> RunOptions:
    return RunOptions(dataset=folder / "dataset", quiet=True, **settings)


def plan_of(terms: Path, tables: Path, num_files: int = 2, **cap: Any) -> Plan:
    sources = Sources(table=Table(paths=(str(tables),)))
    config = BuildConfig(queries=str(terms), sources=sources, cap=Cap(**cap))
    return make_plan(config, options(tables), Sample(files=num_files), Assumed())


def test_files_that_are_alike_are_predicted_exactly_from_some_of_them(terms: Path, tables: Path) -> None:
    plan = plan_of(terms, tables)
    (source,) = plan.sources
    assert (source.num_sampled, source.num_units) == (2, 6)
    assert (source.num_candidates, source.num_pairs, plan.num_matched) == (60, 54, 54)
    assert (plan.num_fetched, plan.num_kept) == (54, round(54 * 0.56))
    assert plan.requests_per_host == {"host0.example": 30, "host1.example": 24}
    assert plan.fullness.share_seen == 0.75


def test_the_cap_is_applied_and_says_how_full_the_terms_get(terms: Path, tables: Path) -> None:
    plan = plan_of(terms, tables, max_pairs_per_query=5, survival=0.5)
    # 30 pairs of "cup" and "red cup" of which either takes 10: 30 * (1 - (2/3) ** 2); 24 of "dog": 10.
    assert plan.num_fetched == round(30 * (1 - (2 / 3) ** 2) + 10)
    assert plan.fullness.share_full == 0.75


def test_a_search_service_is_asked_some_terms_and_its_questions_are_counted(
    terms: Path, tmp_path: Path
) -> None:
    web = Web()
    web.mount("openverse.sample.test", "/v1/images/", OpenverseApi().answer)
    with serving(web) as served:
        sources = Sources(openverse=Openverse(endpoint=OPENVERSE, interval_s=0))
        config = BuildConfig(queries=str(terms), sources=sources)
        plan = make_plan(config, options(tmp_path, connect_to=served.connect_to), Sample(terms=2), Assumed())
    (source,) = plan.sources
    assert (source.num_sampled, source.num_units) == (2, 4)
    assert (source.num_candidates, source.num_requests) == (180, 12)
    assert served.web.num_requests.total() == 6


def test_the_busiest_host_at_its_pace_may_take_longer_than_the_workers() -> None:
    source = SourcePlan(
        source="table",
        num_sampled=1,
        num_units=1000,
        num_candidates=1000,
        num_errors=0,
        num_pairs=1000,
        num_requests=0,
        hours=1.0,
    )
    pair = {"url": "http://one.example/1.jpg", "query_ids": [0]}
    sampled = [Sampled(plan=source, pairs=[pair], weights=[36_000.0])]
    config = BuildConfig(fetch=Fetch(per_host_interval_s=0.5), cap=Cap(max_pairs_per_query=100_000))
    plan = predict(sampled, 1, config, RunOptions(dataset=Path("x"), workers=4), Assumed())
    assert (plan.busiest_host_hours, plan.fetch_hours, plan.total_hours) == (5.0, 5.0, 6.0)


def test_the_command_prints_a_table_or_json(
    terms: Path, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plan", "laptop", "--queries", str(terms), "--table.paths", str(tables)]
    assert main(arguments) == 0
    assert "table                   2 of 6            60            54" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_matched"] == 54


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["laptop"], "queries: '' is not a file: give --queries FILE, one term per line"),
        (["nothing"], "unknown recipe 'nothing', known: demo, laptop"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("module", [sampling, table])
def test_the_examples_in_docstrings_hold(module: ModuleType) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
