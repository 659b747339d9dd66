"""Scores in the report: counted as a plain loop counts them, absent where there are none."""

from pathlib import Path

import pytest

from manifests.report import write_report
from manifests.report.scores import collect_scores
from manifests.store import open_dataset
from tests.fakes import make_dataset


def test_a_histogram_holds_every_score_once(tmp_path: Path) -> None:
    scores = {"scores": [("clip", 0.25), ("nsfw", None)]}
    root = make_dataset(tmp_path / "data", overrides=scores)
    figures = collect_scores(open_dataset(root))
    assert [*figures] == ["clip"]
    clip = figures["clip"]
    place = next(iter(clip.counts))
    assert dict(clip.counts) == {place: 8}
    assert clip.edges[place] <= 0.25 <= clip.edges[place + 1]
    assert '<section id="scores"' in write_report(root).read_text()


@pytest.mark.parametrize("scores", [None, [], [("clip", None)]])
def test_without_scores_there_is_no_section(tmp_path: Path, scores: object) -> None:
    root = make_dataset(tmp_path / "data", overrides={"scores": scores})
    assert collect_scores(open_dataset(root)) == {}
    assert 'id="scores"' not in write_report(root).read_text()
