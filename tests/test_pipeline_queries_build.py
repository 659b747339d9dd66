"""The whole query list, on real dumps against a slow obvious version, and on a small wiki with page views."""

import hashlib
import json
import math
import shutil
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import pipeline.__main__
from filters.words import words_of
from pipeline.queries.build import build_list
from pipeline.queries.config import QueryListConfig, QueryListRun
from pipeline.queries.markup import plain_text
from pipeline.queries.wiki import Dump, opened

REAL = Path(__file__).parent.parent / "../shared/data/text"
DUMPS = (
    str(REAL / "wikipedia/enwiki-latest-pages-articles1-shortened.xml.bz2"),
    str(REAL / "wikipedia/enwiki-table-markup.xml.bz2"),
    str(REAL / "wikipedia/bgwiki-latest-pages-articles-shortened.xml.bz2"),
)
FILES = ("queries.parquet", "queries.txt", "list.json", "report.html")


def build(out: Path, config: QueryListConfig, workers: int = 1) -> dict[str, bytes]:
    build_list(config, QueryListRun(out=out, workers=workers, quiet=True))
    return {name: (out / name).read_bytes() for name in FILES}


real = pytest.mark.skipif(not REAL.exists(), reason="no dumps and WordNet under ../shared/data/text")


@real
def test_the_list_from_real_dumps_equals_a_slow_obvious_version(tmp_path: Path) -> None:
    words, bigrams = Counter[str](), Counter[tuple[str, str]]()
    for url in DUMPS:
        with opened(url) as stream:
            dump = Dump(stream, url)
            for page in dump.pages():
                if page.kind == "article":
                    for line in plain_text(page.text, dump.media_names).splitlines():
                        words.update(words_of(line).split())
                        bigrams.update(pairwise(words_of(line).split()))
    total = words.total()
    pmi = {
        pair: math.log2(count * total) - math.log2(words[pair[0]] * words[pair[1]])
        for pair, count in bigrams.items()
        if count >= 4
    }
    config = QueryListConfig(
        dumps=DUMPS, wordnet=str(REAL / "wordnet"), word_min_count=20, bigram_min_pmi=9.0, bigram_min_count=4
    )
    build(tmp_path, config)
    rows = pq.read_table(tmp_path / "queries.parquet").to_pylist()
    assert {row["text"]: row["count"] for row in rows if row["origin"] == "word"} == {
        word: count for word, count in words.items() if count >= 20 and word != "'s"
    }
    assert {
        words_of(row["text"]): (row["count"], row["pmi"]) for row in rows if row["origin"] == "bigram"
    } == {
        " ".join(pair): (bigrams[pair], pytest.approx(bits, abs=1e-9))
        for pair, bits in pmi.items()
        if bits >= 9.0
    }
    assert len({words_of(row["text"]) for row in rows}) == len(rows) > 95_000


@real
def test_other_workers_write_the_same_bytes(tmp_path: Path) -> None:
    config = QueryListConfig(dumps=DUMPS[1:], bigram_min_pmi=8.0, word_min_count=5)
    assert build(tmp_path / "2", config, workers=2) == build(tmp_path / "1", config)


def page(title: str, text: str) -> str:
    return f"<page><title>{title}</title><ns>0</ns><revision><text>{text}</text></revision></page>"


@pytest.fixture
def wiki(tmp_path: Path) -> QueryListConfig:
    pages = [
        page("Red panda", "A [[red panda]] is no panda. " * 3),
        page("Mercury (planet)", "{{infobox}} hot hot"),
        page("Seldom read", "seldom"),
        '<page><title>Firefox</title><ns>0</ns><redirect title="Red panda" /></page>',
    ]
    (tmp_path / "dump.xml").write_text(f"<mediawiki>{''.join(pages)}</mediawiki>")
    (tmp_path / "views").write_text(
        "en Red_panda 70 0\nen.m Mercury_(planet) 80 0\nen Seldom_read 69 0\nen Firefox 99 0"
    )
    (tmp_path / "lemmas_noun.txt").write_text("panda\nplanet\nRed Panda\n")
    return QueryListConfig(
        dumps=(str(tmp_path / "dump.xml"),),
        pageviews=(str(tmp_path / "views"),),
        wordnet=str(tmp_path),
        word_min_count=3,
        bigram_min_pmi=1.0,
    )


def test_each_term_has_its_origin_and_its_figure(wiki: QueryListConfig, tmp_path: Path) -> None:
    build(tmp_path / "list", wiki)
    rows = pq.read_table(tmp_path / "list/queries.parquet").to_pylist()
    assert [(row["text"], row["origin"], row["count"] or row["views"]) for row in rows] == [
        *[("panda", "word", 6), ("a", "word", 3), ("is", "word", 3), ("no", "word", 3), ("red", "word", 3)],
        *[("a red", "bigram", 3), ("is no", "bigram", 3), ("no panda", "bigram", 3)],
        *[("panda is", "bigram", 3), ("red panda", "bigram", 3)],
        *[("Mercury", "title", 80), ("planet", "synset", None)],
    ]


def test_the_text_view_has_the_hash_that_a_manifest_knows_the_list_by(
    wiki: QueryListConfig, tmp_path: Path
) -> None:
    files = build(tmp_path / "list", wiki)
    facts = json.loads(files["list.json"])
    assert facts["sha256"] == hashlib.sha256(files["queries.txt"]).hexdigest()
    assert facts["num_queries"] == len(files["queries.txt"].splitlines()) == 12
    assert facts["corpus"] == {"num_articles": 3, "num_redirects": 1, "num_other_pages": 0, "num_words": 21}


def test_other_thresholds_read_no_dump_again(wiki: QueryListConfig, tmp_path: Path) -> None:
    build(tmp_path / "list", wiki)
    Path(wiki.dumps[0]).unlink()
    again = QueryListConfig(
        dumps=wiki.dumps, pageviews=wiki.pageviews, wordnet=wiki.wordnet, word_min_count=6, title_min_views=71
    )
    assert build(tmp_path / "list", again)["queries.txt"].decode().split("\n")[:2] == ["panda", "Mercury"]


def test_a_run_that_was_cut_short_goes_on_with_what_is_missing(wiki: QueryListConfig, tmp_path: Path) -> None:
    whole = build(tmp_path / "list", wiki)
    for path in (tmp_path / "list").rglob("*.parquet"):
        path.unlink()  # what says that a unit or a part is whole; partial runs lie about
    assert build(tmp_path / "list", wiki) == whole
    shutil.rmtree(tmp_path / "list/work")
    assert build(tmp_path / "list", wiki) == whole


# Each: flags, and what must be said.
WRONG = [
    ([], "there is nothing to make a list of: give --dumps FILE... or --wordnet FOLDER"),
    (["--wordnet", "w", "--pageviews", "v"], "--pageviews needs --dumps"),
    (["--wordnet", "w", "--size", "0"], "size must be >= 1, or None, not 0"),
    (["--wordnet", "w", "--word-min-count", "0"], "word-min-count must be >= 1, not 0"),
    (["--wordnet", "w"], "wordnet: w holds no list of synsets"),
    (["--dumps", "missing.xml"], "missing.xml cannot be opened"),
]


@pytest.mark.parametrize(("flags", "said"), WRONG)
def test_a_wrong_request_is_one_line(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = pipeline.__main__.main(["queries", "--quiet", "--out", str(tmp_path / "list"), *flags])
    told = capsys.readouterr().err
    assert (status, said in told, told.count("\n")) == (2, True, 1), told


def test_the_command_says_what_each_origin_gave(
    wiki: QueryListConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--dumps", *wiki.dumps, "--pageviews", *wiki.pageviews, "--word-min-count", "3", "--size", "6"]
    assert pipeline.__main__.main(["queries", "--quiet", "--out", str(tmp_path / "list"), *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].split() == ["title", "2", "1", "viewed", "80", "times", "or", "more"]
    assert "A size of 6 implies: titles viewed 80 times or more." in lines
    assert (
        "No bigram seen 3 times can reach 30 bits in 21 words: 2.8 is the most. Lower --bigram-min-pmi."
        in lines
    )
