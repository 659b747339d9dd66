"""The report beside an earlier build: what it says was gained and lost, and from where it knows."""

from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.report import write_report
from manifests.report.gained import Compared, Side, compare_pairs
from manifests.storage import location
from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.full_report import NUM_PAIRS, make_earlier, make_reported


def _keys(root: Path) -> set[str]:
    dataset = open_dataset(root)
    return {key for shard in dataset.manifest.shards for key in dataset.read_index(shard)["key"].to_pylist()}


def _compare(folder: Path, old: Path, new: Path, **limits: int) -> Compared:
    (folder / "scratch").mkdir()
    return compare_pairs(open_dataset(old), open_dataset(new), folder / "scratch", **limits)


def _shown(side: Side) -> list[str]:
    return [pair.row["key"] for pair in side.shown]


def test_what_was_gained_and_lost_is_found_and_shown(tmp_path: Path) -> None:
    new, old = make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")
    found = _compare(tmp_path, old, new)
    assert _shown(found.gained) == sorted(_keys(new) - _keys(old))
    assert _shown(found.lost) == sorted(_keys(old) - _keys(new))
    assert (found.gained.num_pairs, found.lost.num_pairs, found.every) == (3, 3, 1)
    assert sum(found.lost.reasons.values()) == 3


def test_of_many_pairs_those_at_equal_distances_are_shown(tmp_path: Path) -> None:
    new, old = make_dataset(tmp_path / "now", num_pairs=24), make_dataset(tmp_path / "then", num_pairs=0)
    assert _shown(_compare(tmp_path, old, new).gained) == sorted(_keys(new))[::4]


def test_an_estimate_counts_the_keys_that_begin_with_zeros(tmp_path: Path) -> None:
    new = make_dataset(tmp_path / "now", num_pairs=300, pairs_per_shard=50)
    old = make_dataset(tmp_path / "then", num_pairs=40, pairs_per_shard=7)
    found = _compare(tmp_path, old, new, max_exact=100, max_sampled=20)
    gained = [key for key in _keys(new) - _keys(old) if key.startswith("0")]
    assert (found.every, found.gained.num_pairs) == (16, 16 * len(gained))
    assert set(_shown(found.gained)) <= set(gained)
    assert found.lost == Side(num_pairs=0, reasons={}, shown=())


def test_shards_that_both_have_are_not_read(tmp_path: Path) -> None:
    old = make_dataset(tmp_path / "then", num_pairs=8)
    new = make_dataset(tmp_path / "now", num_pairs=12)
    for folder in (old, new):
        (folder / "index/00001.parquet").unlink()
    assert _compare(tmp_path, old, new).gained.num_pairs == 4


def test_the_page_says_how_many_and_shows_both_funnels(tmp_path: Path) -> None:
    html = write_report(make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")).read_text("utf-8")
    section = html[html.index('id="against"') : html.index('id="kept"')]
    for name, value in {"In both": NUM_PAIRS - 3, "Gained": 3, "Lost": 3}.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in section
    row = '<td>match</td><td>no query</td><td class="number">4</td><td class="number">30.8 %</td>'
    assert f'{row}<td class="number">1</td><td class="number">7.7 %</td>' in section
    assert section.count("<figure") == 6
    assert "<td>cap.max_pairs_per_query</td><td>5</td><td>3</td>" in section
    assert html.count('class="before"') >= 8


def test_a_build_beside_itself_has_lost_nothing(tmp_path: Path) -> None:
    root = make_reported(tmp_path / "now")
    html = write_report(root, root).read_text("utf-8")
    assert "<dt>Gained</dt><dd>0</dd>" in html
    assert "Some of the pairs" not in html


def test_the_command_line_compares_and_names_what_is_no_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")
    assert main(["report", str(new), "--against", str(old)]) == 0
    assert 'id="against"' in (new / "report.html").read_text("utf-8")
    assert main(["report", str(new), "--against", str(tmp_path)]) == 2
    assert f"{tmp_path} holds no manifest.json" in capsys.readouterr().err


def test_datasets_elsewhere_are_reported_on_and_compared_as_those_here(tmp_path: Path) -> None:
    new, old = make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")
    places = location(f"memory://{tmp_path.name}/now"), location(f"memory://{tmp_path.name}/then")
    for here, there in zip((new, old), places, strict=True):
        for path in here.rglob("*.*"):
            (there / path.relative_to(here).as_posix()).write_bytes(path.read_bytes())
    found = write_report(*places)
    assert found == places[0] / "report.html"
    assert found.read_bytes() == write_report(new, old).read_bytes()
