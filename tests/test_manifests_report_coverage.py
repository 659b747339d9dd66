"""The coverage of search terms: each term in one state, the states in the report."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.report.coverage import STATES, collect_coverage, coverage_section
from manifests.schema import QUERY_SCHEMA
from manifests.store import open_dataset
from tests.fakes import make_dataset

# text, matched, tried, kept, and the state under a cap of 10
TERMS = [
    ("nowhere", 0, 0, 0, "unmatched"),
    ("rare", 4, 4, 3, "short"),
    ("none kept", 4, 4, 0, "short"),
    ("left out", 30, 14, 9, "starved"),
    ("just full", 10, 10, 10, "full"),
    ("popular", 90, 18, 10, "full"),
    ("shared", 90, 25, 13, "over"),
]


def make_terms(root: Path) -> None:
    rows = [
        {"query_id": number, "text": text, "origin": "word", "num_matched": m, "num_tried": t, "num_kept": k}
        for number, (text, m, t, k, _) in enumerate(TERMS)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=QUERY_SCHEMA), root / "queries.parquet")


def test_every_term_is_in_the_state_that_its_counts_say(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=6)
    make_terms(root)
    found = collect_coverage(open_dataset(root), 10)
    states = [state for *_, state in TERMS]
    assert found.num_in_state == {"word": {state: states.count(state) for state in STATES}}
    assert found.num_hits_over == 3
    assert [row["text"] for row in found.starved] == ["left out"]


def test_the_section_says_how_many_terms_exceed_their_cap_and_by_how_much(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=6)
    make_terms(root)
    body = coverage_section(collect_coverage(open_dataset(root), 10)).body
    assert "1 terms are starved; 1 hold more than their cap, by 3 in all" in body
    assert "<td>folder</td>" in body


def test_a_dataset_without_a_cap_has_no_section() -> None:
    assert coverage_section(None).body == ""
