"""The data card says what the manifest and the index say, and nothing else."""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from manifests.__main__ import main
from manifests.card import card
from manifests.card.figures import count_pairs
from manifests.croissant import Publication
from manifests.report.sampling import sample_shards
from manifests.schema import Change
from manifests.store import open_dataset
from tests.bare_datasets import pair, rejected, write_bare
from tests.fakes import make_dataset

LICENCES = ("CC0", "CC BY 4.0", None)


def many(count: int) -> list[list[dict[str, object]]]:
    rows = [
        pair(n, licence=LICENCES[n % 3], language="en", width=n, num_duplicates=n % 2, robots="allowed")
        for n in range(count)
    ]
    return [rows[start : start + 10] for start in range(0, count, 10)]


def test_the_card_says_counts_shares_and_what_was_not_recorded(tmp_path: Path) -> None:
    dataset = write_bare(tmp_path, many(30), [rejected(99, "text", "caption_toxic")], config={"dedup": {}})
    text = card(dataset, Publication(creator="Somebody"))
    for line in (
        "| pairs | 30 |",
        "| pictures fetched | not recorded |",
        "| publisher | Somebody |",
        "| text | 31 | 30 | caption_toxic 1 |",
        "| text | caption_toxic | 1 | 3.2 % |",
        "| CC0 | 10 | 33.3 % |",
        "| not recorded | 10 | 33.3 % |",
        "| host-0.example | 5 | 16.7 % |",
        "| allowed | 30 | 100.0 % |",
        "These pairs stand for 15 dropped copies",
        "Counted in all 30 pairs.",
        "- Only exact copies were looked for: near-duplicates are left.",
    ):
        assert line in text, line


def test_figures_are_those_of_a_loop_over_all_rows(tmp_path: Path) -> None:
    dataset = write_bare(tmp_path, many(47))
    rows = [row for shard in dataset.manifest.shards for row in dataset.read_index(shard).to_pylist()]
    figures = count_pairs(dataset)
    assert figures.counts["licence"] == Counter(row["licence"] for row in rows)
    assert figures.hosts == Counter(row["url"].split("/")[2] for row in rows)
    assert figures.medians["width"] == sorted(row["width"] for row in rows)[23]
    assert figures.num_copies == sum(row["num_duplicates"] for row in rows)


def test_a_large_dataset_is_sampled_and_the_card_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = write_bare(tmp_path, many(100))
    few = partial(sample_shards, max_pairs=20)
    monkeypatch.setattr("manifests.card.figures.sample_shards", few)
    text = card(dataset, Publication())
    assert "Estimated from 20 of 100 pairs (20.0 %), those of 2 of 10 shards." in text.replace("\xa0", " ")
    assert "| pairs | 100 |" in text


def test_what_pages_say_cannot_make_markup(tmp_path: Path) -> None:
    licence = "CC | <script>alert(1)</script>\n# owned [x](http://evil)"
    text = card(write_bare(tmp_path, [[pair(1, licence=licence)]]), Publication())
    shown = r"CC \| \<script\>alert(1)\</script\> # owned \[x\](http://evil)"
    assert f"| {shown} | 1 | 100.0 % |" in text


def test_the_history_of_changes_is_told(tmp_path: Path) -> None:
    change = Change(kind="takedown", request={}, num_tried=9, num_gained=8, dropped={"taken_down": 1})
    text = card(write_bare(tmp_path, [[pair(1)]], history=(change,)), Publication())
    assert "| not recorded | takedown | 9 | 8 |" in text


def test_a_readme_that_somebody_wrote_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_bare(tmp_path, [[pair(1)]])
    (tmp_path / "README.md").write_text("ours")
    assert main(["card", str(tmp_path)]) == 2
    assert "is kept. Next: --out card.md" in capsys.readouterr().err
    assert (tmp_path / "README.md").read_text() == "ours"


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_takedown_removes_what_was_derived_but_not_what_somebody_wrote(
    tmp_path: Path, by_hand: bool
) -> None:
    dataset = make_dataset(tmp_path / "set", num_pairs=8, pairs_per_shard=4)
    assert main(["card", str(dataset)]) == main(["croissant", str(dataset)]) == 0
    if by_hand:
        (dataset / "README.md").write_text("ours")
    url = open_dataset(dataset).read_index(open_dataset(dataset).manifest.shards[0])["url"][0].as_py()
    assert main(["takedown", str(dataset), "--url", url, "--reason", "asked", "--signed-by", "me"]) == 0
    assert (dataset / "README.md").exists() == by_hand
    assert not (dataset / "croissant.json").exists()


def test_the_command_writes_the_card_into_the_dataset_or_elsewhere(tmp_path: Path) -> None:
    write_bare(tmp_path / "set", [[pair(1)]])
    assert main(["card", str(tmp_path / "set")]) == 0
    assert main(["card", str(tmp_path / "set"), "--out", str(tmp_path / "card.md")]) == 0
    assert (tmp_path / "card.md").read_bytes() == (tmp_path / "set/README.md").read_bytes()
