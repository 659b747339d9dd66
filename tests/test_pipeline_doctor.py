"""What the doctor finds, on this machine and against a real local server."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline.__main__
from manifests.storage import location
from pipeline.doctor import (
    check_clock,
    check_disk,
    check_files,
    check_host,
    check_loops,
    check_memory,
    check_names,
    check_processors,
    check_proxy,
    check_store,
    free_memory,
)
from pipeline.limits import Fetch
from pipeline.sample_web.server import Resource, Served, Web, serving
from tests.s3 import serving_s3

QUICK = Fetch(contact="you@example.org", max_tries=1, timeout_s=2.0, per_host_interval_s=0.05)


@pytest.fixture
def served() -> Iterator[Served]:
    web = Web()
    web.add("http://a.sample.test/", Resource(body=bytes(100_000)))
    with serving(web, closed_hosts=("closed.sample.test",)) as served:
        yield served


def test_names_that_have_no_address_are_counted() -> None:
    assert check_names(("localhost",) * 3).level == "ok"
    assert check_names(("localhost", "localhost", "no-such-name.invalid")).level == "warn"
    found = check_names(("no-such-name.invalid", "neither.invalid"))
    assert (found.level, found.figure[:34]) == ("fail", "2 of 2 names have no address; the ")


def test_more_downloads_than_open_files_are_refused_a_good_figure() -> None:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert [check_files(number).level for number in (limit - 256, limit - 255, limit + 1)] == [
        "ok",
        "warn",
        "fail",
    ]
    assert check_files(limit - 255).fix.startswith(f"ulimit -n {limit + 1}, or --fetch.max-concurrency")


def test_a_proxy_is_told_of() -> None:
    assert check_proxy({"no": "localhost"}).level == "ok"
    assert (
        check_proxy({"https": "http://proxy:3128"}).figure
        == "set for https, but pictures are fetched directly"
    )


def test_the_disk_is_measured_where_the_dataset_would_be(tmp_path: Path) -> None:
    space, speed = check_disk(tmp_path / "not" / "yet" / "there")
    assert space.figure.endswith(f"GB free at {tmp_path}")
    assert speed.figure.endswith("MB/s written and flushed")
    assert list(tmp_path.iterdir()) == []
    unwritable = list(check_disk(Path("/proc/self")))[1]
    assert (unwritable.level, unwritable.fix) == ("fail", "give another --dataset")


def test_workers_need_processors_and_memory() -> None:
    assert check_processors(1).level == "ok"
    assert check_processors(100_000).fix.startswith("--workers ")
    assert check_memory(100_000).level in ("warn", "fail")
    assert check_loops(True).level == "ok"
    assert "compiler" in check_loops(False).fix
    assert free_memory() > 10_000_000


@pytest.mark.parametrize(("away_s", "level"), [(0, "ok"), (-5, "ok"), (6, "warn"), (-301, "fail")])
def test_the_clock_is_compared_with_a_servers(away_s: int, level: str) -> None:
    assert check_clock("Thu, 01 Jan 1970 00:16:40 GMT", 1000.0 + away_s).level == level


def test_a_host_is_asked_at_our_pace_for_its_clock_and_its_bytes(served: Served) -> None:
    clock, throughput = check_host("http://a.sample.test/", QUICK, served.connect_to)
    assert (clock.name, clock.level, throughput.level) == ("clock", "ok", "ok")
    assert 10 <= served.web.num_requests["http://a.sample.test/"] <= 3 / 0.05 + 8
    assert served.web.max_concurrent["a.sample.test"] <= QUICK.per_host_concurrency


def test_a_host_that_does_not_answer_fails_the_command(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--names", "localhost", "--dataset", str(tmp_path), "--fetch.max-tries", "1", "--json"]
    url, places = "http://closed.sample.test/", served.connect_to
    status = pipeline.__main__.main(["doctor", *flags, "--host", url, "--connect-to", *places])
    findings = {finding["name"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert status == 1
    assert findings["names"]["level"] == "ok"
    assert findings["throughput"]["figure"].startswith("no answer from closed.sample.test: connection_failed")


def test_a_store_is_written_to_read_and_left_as_it_was() -> None:
    with serving_s3() as s3:
        (finding,) = check_store(location("s3://bucket/dataset"))
        assert finding.level == "ok" and "MB/s written to s3://bucket/dataset" in finding.figure
        assert s3.requests["DELETE"] + s3.requests["POST"] == 1
        assert list(location("s3://bucket/dataset").glob("*")) == []


def test_a_bucket_that_is_not_there_is_told_of() -> None:
    with serving_s3():
        (finding,) = check_store(location("s3://another/dataset"))
    assert finding.level == "fail" and "s3://another/dataset cannot be written to" in finding.figure
