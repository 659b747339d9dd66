"""Scores in the report: counted as a plain loop counts them, absent where there are none."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.report import write_report
from manifests.report.scores import edges_for, score_bins
from tests.fakes import make_dataset


@given(st.lists(st.lists(st.floats(-3, 3, width=32), max_size=9), min_size=1, max_size=3))
def test_bins_hold_every_score_of_all_chunks_once(chunks: list[list[float]]) -> None:
    arrays = [pa.array(chunk, pa.float32()) for chunk in chunks]
    edges = edges_for(arrays)
    values = [value for chunk in chunks for value in chunk]
    assert bool(edges) == bool(values)
    if edges:
        assert edges[0] - 1e-9 <= min(values) <= max(values) <= edges[-1] + 1e-9
        assert sum(count for _, count in score_bins(arrays, edges)) == len(values)


def test_a_dataset_with_scores_has_a_section_that_says_who_has_none(tmp_path: Path) -> None:
    root = make_dataset(
        tmp_path / "data", overrides={"scores": [("clip", 0.25), ("nsfw", None), ("odd", float("nan"))]}
    )
    html = write_report(root).read_text()
    assert '<section id="scores"' in html
    assert '<td>0.25</td><td class="number">8</td>' in html
    assert "nsfw" not in html
    assert "odd" not in html


@pytest.mark.parametrize("scores", [None, [], [("clip", None)]])
def test_without_scores_there_is_no_section(tmp_path: Path, scores: object) -> None:
    root = make_dataset(tmp_path / "data", overrides={"scores": scores})
    assert 'id="scores"' not in write_report(root).read_text()
