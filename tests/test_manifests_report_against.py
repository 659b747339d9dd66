"""The report beside an earlier build: what it says was gained and lost, and from where it knows."""

from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.diff import diff
from manifests.report import write_report
from manifests.report.against import read_earlier
from manifests.report.sampling import MAX_PAIRS
from manifests.store import open_dataset
from tests.fakes import make_dataset
from tests.full_report import NUM_PAIRS, make_earlier, make_reported


def _keys(root: Path) -> set[str]:
    dataset = open_dataset(root)
    return {key for shard in dataset.manifest.shards for key in dataset.read_index(shard)["key"].to_pylist()}


def test_some_of_what_was_gained_and_lost_is_found(tmp_path: Path) -> None:
    new, old = make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")
    earlier = read_earlier(open_dataset(old), open_dataset(new), MAX_PAIRS)
    assert set(earlier.gained_keys) == _keys(new) - _keys(old)
    assert set(earlier.lost_keys) == _keys(old) - _keys(new) == set(earlier.pairs.survivors)
    assert len(earlier.lost_keys) == 3


def test_of_many_keys_those_at_equal_distances_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("manifests.report.against.MAX_KEYS", 5)
    new = make_dataset(tmp_path / "now", num_pairs=24)
    old = make_dataset(tmp_path / "then", num_pairs=0)
    earlier = read_earlier(open_dataset(old), open_dataset(new), MAX_PAIRS)
    assert [*earlier.gained_keys] == sorted(_keys(new))[::5]


def test_the_page_says_how_many_and_shows_both_funnels(tmp_path: Path) -> None:
    html = write_report(make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")).read_text("utf-8")
    section = html[html.index('id="against"') : html.index('id="kept"')]
    for name, value in {"In both": NUM_PAIRS - 3, "Gained": 3, "Lost": 3}.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in section
    row = '<td>match</td><td>no query</td><td class="number">4</td><td>30.8 %</td>'
    assert f'{row}<td class="number">1</td><td>7.7 %</td>' in section
    assert section.count("<figure") == 6
    assert "<td>cap.max_pairs_per_query</td><td>5</td><td>3</td>" in section
    assert html.count('class="before"') >= 8


def test_a_build_beside_itself_has_lost_nothing(tmp_path: Path) -> None:
    root = make_reported(tmp_path / "now")
    html = write_report(root, root).read_text("utf-8")
    assert "<dt>Gained</dt><dd>0</dd>" in html
    assert "Some of the pairs" not in html
    assert diff(open_dataset(root), open_dataset(root), _empty(tmp_path)).is_empty


def _empty(folder: Path) -> Path:
    (folder / "scratch").mkdir()
    return folder / "scratch"


def test_the_command_line_compares_and_names_what_is_no_dataset(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new, old = make_reported(tmp_path / "now"), make_earlier(tmp_path / "then")
    assert main(["report", str(new), "--against", str(old)]) == 0
    assert 'id="against"' in (new / "report.html").read_text("utf-8")
    assert main(["report", str(new), "--against", str(tmp_path)]) == 2
    assert f"{tmp_path} holds no manifest.json" in capsys.readouterr().err
