"""What a dataset is said to hold, and the pattern of its shards."""

import json
from pathlib import Path

import braceexpand
import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.__main__ import main
from manifests.braces import braced
from manifests.schema import Change
from tests.bare_datasets import pair, rejected, write_bare


@given(st.sets(st.integers(0, 30) | st.integers(99_990, 100_010), min_size=1))
def test_the_pattern_stands_for_exactly_the_shards(numbers: set[int]) -> None:
    names = [f"{number:05d}" for number in sorted(numbers)]
    assert list(braceexpand.braceexpand(braced(names))) == names


def test_forty_thousand_shards_are_one_run() -> None:
    assert braced([f"{number:05d}" for number in range(40_000)]) == "{00000..39999}"


def test_a_person_is_shown_counts_bytes_funnel_pattern_and_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = Change(
        kind="retry", request={"where": ["reason=timeout"]}, num_tried=2, num_gained=1, dropped={"timeout": 1}
    )
    shards = [[pair(number) for number in range(start, start + 3)] for start in (0, 3, 6)]
    write_bare(tmp_path, shards, [rejected(99, "fetch", "timeout")], history=(change,))
    assert main(["show", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "bare: 9 pairs in 3 shards of 30,720 bytes" in shown
    assert f"--train-data '{tmp_path}/shards/{{00000..00002}}.tar'" in shown
    assert "fetch                 10 ->             9  timeout 1" in shown
    assert shown.endswith("retry reason=timeout: 1 gained of 2 tried\n")


def test_json_is_the_manifest_with_pattern_and_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = write_bare(tmp_path, [[pair(1)], [pair(2)]])
    assert main(["show", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["tars"] == f"{tmp_path}/shards/{{00000..00001}}.tar"
    assert shown["num_bytes"]["indexes"] == sum(each.index.num_bytes for each in dataset.manifest.shards)
    assert (shown["content_hash"], len(shown["shards"])) == (dataset.manifest.content_hash, 2)
