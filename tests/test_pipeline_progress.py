"""What a person sees of a fetch: the counters of all workers, the line made of them, and Beam's own."""

from collections import Counter
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter

from manifests.store import write_table
from pipeline.config import BuildConfig
from pipeline.fetch.live import LiveFetch, errors_in, live_line, names_warning, num_done
from pipeline.fetch.stage import FetchUnits
from pipeline.limits import Network
from pipeline.progress import Tally, counts_in, shown
from pipeline.records import PAIR_SCHEMA, to_table
from pipeline.sources import Sources
from pipeline.sources.folder import Folder
from tests.fakes import make_picture


def test_the_tallies_of_all_workers_add_up_and_a_level_is_what_it_is_now(tmp_path: Path) -> None:
    for number in (1, 2):
        tally = Tally(tmp_path)
        tally.add("fetch/in", number)
        tally.add("fetch/in")
        tally.set("hosts/waiting", 7)
        tally.set("hosts/waiting", number)
        tally.write()
    assert counts_in(tmp_path) == Counter({"fetch/in": 5, "hosts/waiting": 3})


def test_the_line_names_rates_of_now_and_the_five_most_frequent_errors_of_all() -> None:
    before = Counter({"image/out": 100, "fetch/bytes": 5_000_000})
    counts = Counter({"image/out": 120, "fetch/bytes": 8_000_000, "hosts/waiting": 1_200})
    counts.update({f"fetch/dropped/{name}": 10 + number for number, name in enumerate("abcdef")})
    counts["image/dropped/a"] += 5
    line = live_line(counts, before, 2.0)
    assert line == "10 images/s, 1.5 MB/s, 60 % good; a 15, f 15, e 14, d 13, c 12; 1,200 hosts waiting"


def test_what_cannot_be_looked_up_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally, live = Tally(tmp_path), LiveFetch(tmp_path)
    tally.add("names/asked", 199)
    tally.add("names/failed", 199)
    assert names_warning(tally.counts) is None
    tally.add("names/asked")
    tally.write()
    assert [live.note(), live.note()] == ["0 images/s, 0.0 MB/s"] * 2
    assert capsys.readouterr().err.count("199 of 200 names could not be looked up (100 %)") == 1


def test_nothing_is_shown_when_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("fetched", " pairs", 3, lambda: 3, quiet=True, note=lambda: "a note"):
        pass
    assert capsys.readouterr() == ("", "")


def test_the_tally_beams_counters_and_the_parts_of_a_fetch_agree(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/good.jpg").write_bytes(make_picture(1, side_px=96))
    (tmp_path / "photos/small.jpg").write_bytes(make_picture(1, side_px=10))
    (tmp_path / "photos/text.jpg").write_bytes(b"no picture")
    names = ("good", "small", "text", "gone")
    pairs = [{"pair_id": f"{name:>032}", "url": f"folder:0/{name}.jpg", "caption": name} for name in names]
    rows = [pair | {"source": "folder", "query_ids": [0]} for pair in pairs]
    write_table(tmp_path / "selected/00-0.parquet", to_table(rows, PAIR_SCHEMA))
    config = BuildConfig(sources=Sources(folder=Folder(paths=(str(tmp_path / "photos"),))))
    folders = tmp_path / "selected", tmp_path / "fetched"
    fetch = FetchUnits(["00-0"], *folders, config, Network(), tmp_path / "tallies", 1)
    pipeline = beam.Pipeline("FnApiRunner")
    pipeline | fetch
    result = pipeline.run()
    result.wait_until_finish()
    found = result.metrics().query(MetricsFilter().with_namespaces(["fetch", "image"]))["counters"]
    counters = {f"{found.key.metric.namespace}/{found.key.metric.name}": found.committed for found in found}
    tallied = counts_in(tmp_path / "tallies")
    assert counters == {name: tallied[name] for name in tallied if name.startswith(("fetch/", "image/"))}
    assert {name: number for name, number in counters.items() if name != "fetch/bytes"} == {
        **{"fetch/in": 4, "fetch/out": 3, "fetch/dropped/source_error": 1},
        **{"image/out": 1, "image/dropped/image_too_small": 1, "image/dropped/not_an_image": 1},
    }
    assert num_done(Counter(counters)) == 4
    assert dict(errors_in(Counter(counters))) == {"source_error": 1, "image_too_small": 1, "not_an_image": 1}
