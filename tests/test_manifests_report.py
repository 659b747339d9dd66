"""The report of a dataset: what it says, what it hides, and that no stranger's text can act in it."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from manifests.report import data, write_report
from manifests.report.charts import histogram, line_chart, nice_ticks, thin
from manifests.report.data import PairFigures, collect_pairs
from manifests.report.heat import heat_map
from manifests.report.pictures import mask, mask_quoted, short_address
from manifests.report.sampling import sample_shards
from manifests.report.terms import collect_queries
from manifests.schema import StageCount
from manifests.store import Dataset, DatasetError, open_dataset, read_manifest, write_manifest
from tests.fakes import make_dataset, make_picture, make_rejection
from tests.full_report import make_reported, write_full_report

SECTIONS = [
    *("funnel", "against", "kept", "reasons", "origins", "queries", "coverage", "captions", "sizes"),
    *("looks", "scores", "duplicates", "rejections", "history", "config"),
]


class _Page(HTMLParser):
    """Collects tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def ids(self) -> list[str | None]:
        return [attrs["id"] for _, attrs in self.tags if "id" in attrs]

    def values(self, name: str) -> list[str]:
        return [value for _, attrs in self.tags if (value := attrs.get(name))]


def _report(root: Path) -> _Page:
    return _Page(write_report(root).read_text("utf-8"))


def test_every_section_stands_on_the_page_once(tmp_path: Path) -> None:
    ids = _Page(write_full_report(tmp_path).read_text("utf-8")).ids()
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name in SECTIONS] == SECTIONS


def test_a_dataset_without_rejections_or_pairs_has_a_report(tmp_path: Path) -> None:
    make_dataset(tmp_path, num_pairs=0)
    page = _report(tmp_path)
    assert "kept" not in page.ids()
    assert "0 of 0 candidates were kept (0 %)." in page.words


def test_the_report_of_the_same_dataset_is_the_same_bytes(tmp_path: Path) -> None:
    root = make_reported(tmp_path)
    first = write_report(root).read_bytes()
    assert write_report(root).read_bytes() == first


def test_an_unfinished_dataset_has_no_report(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="python -m pipeline build"):
        write_report(tmp_path)


HOSTILE = '<script>alert(1)</script> "><img src=x onerror=alert(2)> </figcaption> & \x00 \x1b[31m'


def test_a_script_in_any_text_of_the_data_cannot_run(tmp_path: Path) -> None:
    rejection = make_rejection(
        HOSTILE, stage=HOSTILE, detail=HOSTILE, url="javascript:alert(3)", caption=HOSTILE, source=HOSTILE
    )
    overrides = {
        "source": HOSTILE,
        "licence": HOSTILE,
        "language": HOSTILE,
        "url": f"https://{HOSTILE}/a.jpg",
    }
    root = make_dataset(
        tmp_path,
        num_pairs=1,
        captions=[HOSTILE],
        rejections=[rejection],
        overrides=overrides,
        config={HOSTILE: HOSTILE},
        name=HOSTILE,
    )
    page = _report(root)
    assert {"script", "iframe", "object", "form", "base"}.isdisjoint(tag for tag, _ in page.tags)
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.words
    assert "\x00" not in page.words


def test_the_page_asks_nothing_of_the_network(tmp_path: Path) -> None:
    page = _report(make_reported(tmp_path))
    assert all(value.startswith("data:image/jpeg;base64,") for value in page.values("src"))
    links = [value for value in page.values("href") if not value.startswith("#") and value != "data:,"]
    assert all(value.startswith("https://host") for value in links)
    outward = [attrs for tag, attrs in page.tags if tag == "a" and attrs["href"] in links]
    assert len(outward) == 9 + 1  # the pages of the pairs kept, one of which has copies
    assert {attrs["rel"] for attrs in outward} == {"noreferrer noopener nofollow"}
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page.values("content")


def test_every_link_of_the_page_leads_to_a_place_on_it(tmp_path: Path) -> None:
    page = _report(make_reported(tmp_path))
    anchors = {value[1:] for value in page.values("href") if value.startswith("#")}
    assert "rejected-dedup-near_duplicate" in anchors
    assert anchors <= set(page.ids())


def test_headings_have_no_gaps_and_tables_have_captions_and_heads(tmp_path: Path) -> None:
    tags = [tag for tag, _ in _Page(write_full_report(tmp_path).read_text("utf-8")).tags]
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(two - one <= 1 for one, two in pairwise(levels))
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 5


def test_a_reason_without_samples_is_said_to_have_none(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=1)
    stage = StageCount(stage="fetch", num_in=3, num_out=1, dropped={"timeout": 2})
    write_manifest(root, replace(read_manifest(root), funnel=(stage,)))
    page = _report(root)
    assert "rejected-fetch-timeout" in page.ids()
    assert "No sample of this reason was kept." in page.words


def test_history_says_what_was_asked_and_what_came_of_it(tmp_path: Path) -> None:
    html = write_report(make_reported(tmp_path)).read_text("utf-8")
    history = html[html.index('id="history"') : html.index('id="config"')]
    assert "1 in the dataset of 3 that were looked at" in history
    assert "Dropped: timeout 2" in history
    assert "{&quot;where&quot;: [&quot;http_error&quot;]}" in history


@pytest.mark.parametrize("address", ["javascript:alert(1)", "ftp://a.example/b.html", "//a.example"])
def test_only_web_addresses_are_links(tmp_path: Path, address: str) -> None:
    page = _report(make_dataset(tmp_path, num_pairs=1, overrides={"page_url": address}))
    assert not [value for value in page.values("href") if not value.startswith(("#", "data:,"))]


def test_every_picture_has_a_text_and_every_chart_says_what_it_shows(tmp_path: Path) -> None:
    page = _report(make_reported(tmp_path))
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    charts = [attrs for tag, attrs in page.tags if tag == "svg"]
    assert len(pictures) == 9 + 1 + 2 + 3  # kept, too small, duplicates as rejected, the group of three
    assert all(attrs["alt"] for attrs in pictures)
    assert all(attrs.get("aria-label") or attrs.get("aria-hidden") for attrs in charts)


@pytest.mark.parametrize("reason", ["caption_unsafe", "url_blocked"])
def test_texts_and_pictures_dropped_as_unsafe_are_not_shown(tmp_path: Path, reason: str) -> None:
    rejection = make_rejection(
        reason,
        detail="word 'Frobnicate' of list en",
        caption="frobnicate the gizmo",
        url="https://frobnicate.example/gizmo.jpg",
        thumbnail=make_picture(0),
    )
    html = write_report(make_dataset(tmp_path, num_pairs=0, rejections=[rejection])).read_text("utf-8")
    assert "f… t… g…" in html
    assert "<img" not in html
    assert not re.search("frobnicate|gizmo", html, re.IGNORECASE)


@pytest.mark.parametrize(
    ("detail", "caption", "shown"),
    [
        ("score 0.93 > 0.5", "some words", "score 0.93 > 0.5"),
        ("word 'some words' of list en", "other", "word 's… w…' of list en"),
        ("holds words", "Some Words", "holds w…"),
    ],
)
def test_a_measurement_hides_what_it_repeats(detail: str, caption: str, shown: str) -> None:
    assert mask_quoted(detail, caption) == shown


def test_masking_keeps_the_first_letter_of_every_word() -> None:
    assert mask("Ünsafe wörds, a-b 42") == "Ü… w…, a-b 4…"


def test_duplicates_stand_beside_the_pair_that_was_kept(tmp_path: Path) -> None:
    html = write_report(make_reported(tmp_path)).read_text("utf-8")
    group = html[html.index('id="duplicates"') : html.index('id="rejections"')]
    assert group.count("survivor") == 1
    assert group.index("survivor") < group.index("distance 1 &lt;= 4") < group.index("distance 3 &lt;= 4")


def test_samples_that_say_the_same_are_shown_once(tmp_path: Path) -> None:
    copies = [make_rejection("no_query", caption=caption) for caption in ("one", "one", "two", "one")]
    html = write_report(make_dataset(tmp_path, num_pairs=0, rejections=copies)).read_text("utf-8")
    assert re.findall(r">(one|two)</bdi>", html) == ["one", "two"]


def test_a_picture_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    rejection = make_rejection("image_corrupt", thumbnail=b"\xff\xd8 not a picture")
    assert "unreadable picture" in _report(make_dataset(tmp_path, num_pairs=1, rejections=[rejection])).words


def _figures(dataset: Dataset) -> PairFigures:
    return collect_pairs(dataset, sample_shards(dataset.manifest))


def test_the_kept_sample_is_the_lowest_keys_over_all_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "NUM_MEASURED", 24)
    dataset = open_dataset(make_dataset(tmp_path, num_pairs=40, pairs_per_shard=7))
    keys = [key for shard in dataset.manifest.shards for key in dataset.read_index(shard)["key"].to_pylist()]
    assert [pair.row["key"] for pair in _figures(dataset).lowest] == sorted(keys)[:24]


def test_figures_over_shards_equal_the_slow_obvious_count(tmp_path: Path) -> None:
    figures = _figures(open_dataset(make_dataset(tmp_path, num_pairs=20, pairs_per_shard=6)))
    assert figures.hosts == {"host0.example": 7, "host1.example": 7, "host2.example": 6}
    assert figures.caption_words == {7: 20}
    assert figures.licences == {"not stated": 10, "CC BY 4.0": 10}
    assert figures.sizes[14, 12] == sum(
        number % 5 == 1 and number % 3 == 0 for number in range(20)
    )  # 128 x 64
    assert figures.sizes.total() == figures.aspects.total() == figures.score_twentieths.total() == 20
    assert figures.copies == {0: 20}


def test_rare_hosts_are_forgotten_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "MAX_HOSTS", 2)
    dataset = open_dataset(make_dataset(tmp_path, num_pairs=10, pairs_per_shard=10))
    assert _figures(dataset).hosts == {"host0.example": 4}


def test_search_terms_are_told_apart_as_unmatched_lost_and_saturated(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=9)
    path = root / "queries.parquet"
    table = pq.read_table(path)
    matched = table["num_matched"].to_pylist()
    capped = [
        min(count, 1) if text != "red" else 0
        for count, text in zip(matched, table["text"].to_pylist(), strict=True)
    ]
    pq.write_table(table.set_column(5, "num_kept", [capped]), path)
    found = collect_queries(open_dataset(root), shown_ids=[0], max_pairs_per_query=1)
    assert (found.num_unmatched, found.num_lost) == (2, 1)  # triangle and zebra; red
    assert [row["text"] for row in found.lost] == ["red"]
    assert [row["text"] for row in found.saturated] == ["square"]
    assert found.texts == {0: "blue"}
    assert {row["text"] for row in found.below_cap} == set()  # all others kept nothing
    assert len(found.demanded) == 12 - found.num_unmatched


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 3, [3, 4]),
        (-1, 1, [-1, -0.5, 0, 0.5, 1]),
        (0, 7, [0, 2, 4, 6, 8]),
    ],
)
def test_ticks_are_round_and_hold_the_values(low: float, high: float, ticks: list[float]) -> None:
    found = nice_ticks(low, high)
    assert found[0] <= low <= high <= found[-1]
    assert found == ticks


def test_charts_of_nothing_are_nothing() -> None:
    assert histogram(title="t", bins=[("a", 0)], x_label="x") == ""
    assert line_chart(title="t", points=[(0, float("nan"))], x_label="x", y_label="y") == ""
    assert heat_map(title="t", counts=[[0]], x_names="a", y_names="b", x_label="x", y_label="y") == ""


def test_an_earlier_histogram_is_a_line_in_per_cent_of_its_own() -> None:
    now, then = [("a", 0), ("b", 3), ("c", 1)], [("a", 2), ("b", 2), ("c", 0)]
    drawn = histogram(title="t", bins=now, x_label="x", before=then)
    assert "% of pairs" in drawn
    assert drawn.count('class="before"') == 1
    assert ["<td>a</td>" in drawn, "<td>c</td>" in drawn] == [True, True]  # a is empty only now
    assert 'class="before"' not in histogram(title="t", bins=now, x_label="x", before=[(n, 0) for n in "abc"])


def test_a_long_curve_is_thinned_to_means_of_equal_runs() -> None:
    assert thin([(x, float(x)) for x in range(1000)], max_points=4) == [
        (124.5, 124.5),
        (374.5, 374.5),
        (624.5, 624.5),
        (874.5, 874.5),
    ]


def test_values_that_are_not_finite_are_counted_below_the_curve() -> None:
    drawn = line_chart(
        title="Loss", points=[(0, 2.0), (1, float("inf")), (2, 1.0)], x_label="step", y_label="loss"
    )
    assert "1 values are not finite" in drawn
    assert "loss goes from 2 at step 0 to 1 at 2; lowest 1, highest 2" in drawn


def test_an_address_is_shown_as_its_host_and_its_end() -> None:
    assert short_address("https://a.example/one/two/three.jpg") == "a.example/…/three.jpg"
    assert short_address("a.example") == "a.example"


def test_a_new_manifest_needs_no_cap_in_its_config(tmp_path: Path) -> None:
    root = make_dataset(tmp_path, num_pairs=1)
    write_manifest(root, replace(read_manifest(root), config={"cap": {"max_pairs_per_query": "many"}}))
    assert "Saturated" not in _report(root).words
