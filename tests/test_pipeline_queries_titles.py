"""Page views and WordNet in each of their formats."""

import gzip
import io
from pathlib import Path

import pytest

from manifests.store import write_table
from pipeline.queries.runs import BucketRange
from pipeline.queries.titles import merge_titles, read_views, title_run, view_run
from pipeline.queries.wordnet import synset_names

REAL = Path(__file__).parent.parent / "../shared/data/text/wordnet"

HOURLY = b"""en Main_Page 42 0
en.m Red_panda 7 0
en Red_panda 5 0
de Hauptseite 9 0
en.b Red_panda 9 0
en Broken 3
en Zo\xe9 2 0
en None - 0
"""
COMPLETE = b"""en.wikipedia Red_panda 26786 desktop 40 A20B20
en.wikipedia Red_panda null mobile-web 2 C2
en.wikipedia Without_id desktop 3 D3
de.wikipedia Katzenb\xc3\xa4r 1 desktop 40 A40
"""


def views(lines: bytes) -> list[tuple[str, int]]:
    return list(read_views(io.BytesIO(lines), ("en", "en.m", "en.wikipedia")))


def test_hourly_files_are_read_for_the_wiki_that_is_asked_for() -> None:
    assert views(HOURLY) == [("Main Page", 42), ("Red panda", 7), ("Red panda", 5), ("Zo\ufffd", 2)]


def test_complete_files_are_read_with_and_without_page_ids() -> None:
    assert views(COMPLETE) == [("Red panda", 40), ("Red panda", 2), ("Without id", 3)]


def test_articles_are_joined_with_their_views_from_all_files(tmp_path: Path) -> None:
    write_table(tmp_path / "t", title_run(["Red panda", "Zoo", "Red panda", "Never viewed"]))
    for number, found in enumerate([{"Red panda": 40, "No article": 99}, {"Red panda": 2, "Zoo": 41}]):
        write_table(tmp_path / f"v{number}", view_run(found))
    every = BucketRange(0, 65_535)
    merged = merge_titles([tmp_path / "t"], [tmp_path / "v0", tmp_path / "v1"], every, min_views=42)
    assert merged.to_pylist() == [{"title": "Red panda", "views": 42}]


DATA_NOUN = """  1 This software and database is being provided to you
00001740 03 n 01 entity 0 003 ~ 00001930 n 0000 | that which is perceived
00002137 03 n 02 abstract_entity 0 abstraction 0 010 @ 00001740 n 0000 | a general concept
"""
DATA_ADJ = "00003356 00 s 02 afloat(p) 0 aswim(p) 0 002 & 00003100 a 0000 | borne on the water\n"
INDEX_ADV = "  2 licence\na_cappella r 1 1 \\ 1 0 00241689\n"


def test_wordnet_s_own_files_name_synsets_by_their_first_word(tmp_path: Path) -> None:
    (tmp_path / "data.noun").write_text(DATA_NOUN)
    (tmp_path / "index.noun").write_text("never_read n 1\n")
    (tmp_path / "data.adj.gz").write_bytes(gzip.compress(DATA_ADJ.encode()))
    (tmp_path / "index.adv").write_text(INDEX_ADV)
    (tmp_path / "lemmas_verb.txt").write_text("zoom in\n")
    assert synset_names(str(tmp_path)) == ["entity", "abstract entity", "zoom in", "afloat", "a cappella"]


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_wordnet_names_the_files_that_are_known(folder: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"holds no list of synsets; known files: data.noun, noun_synsets.jsonl"
    ):
        synset_names(str(tmp_path / folder))


@pytest.mark.skipif(not REAL.exists(), reason="no WordNet under ../shared/data/text/wordnet")
def test_all_synsets_of_the_real_wordnet_are_named() -> None:
    names = synset_names(str(REAL))
    assert names[:2] == ["entity", "physical entity"]
    assert {"umbrella", "zoom in", ".22 caliber"} < set(names)
    assert 90_000 < len(names) == len(set(names))
