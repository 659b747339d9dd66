"""Matching in a build: where the index lives."""

import pickle
from pathlib import Path

from pipeline.config import BuildConfig
from pipeline.match import ScreenCandidates, index_terms


def test_copies_of_the_step_in_one_process_share_one_index(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("red\nblue\n")
    step = ScreenCandidates(tmp_path / "terms.txt", BuildConfig(), {}, tmp_path, num_buckets=1)
    copies = [pickle.loads(pickle.dumps(step)) for _ in range(3)]
    for copy in copies:
        copy.setup()
    assert copies[0].index is copies[1].index is copies[2].index


def test_terms_are_numbered_by_their_lines(tmp_path: Path) -> None:
    (tmp_path / "terms.txt").write_text("red\nblue bird\nзонт\n", encoding="utf-8")
    assert index_terms(tmp_path / "terms.txt", "exact").matches("red зонт, Red blue bird") == [0, 1, 2]
