"""The report in a real browser: what is seen, where links and keys lead, contrast, and that nothing runs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from manifests.report import write_report
from manifests.store import read_manifest, write_manifest
from tests.browsing import CONTRASTS, NEEDS_CHROMIUM, Tab
from tests.fakes import make_dataset
from tests.full_report import make_reported, write_full_report

pytestmark = NEEDS_CHROMIUM

WINDOWS = [(360, "light"), (360, "dark"), (820, "light"), (1280, "light"), (1280, "dark")]


# Where the focus is: "nav", the section's id, or nothing beyond the last of them.
PLACE = """(() => {
  const found = document.activeElement.closest('nav, section');
  return found && (found.id || 'nav');
})()"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report that has every section."""
    return write_full_report(tmp_path_factory.mktemp("report"))


@pytest.mark.parametrize(("width_px", "scheme"), WINDOWS)
def test_every_section_is_seen_without_a_complaint_or_a_request(
    browser: Any, report: Path, width_px: int, scheme: str
) -> None:
    with Tab(browser, report.as_uri(), width_px, scheme) as tab:
        sections = tab.js("[...document.querySelectorAll('section')].map(s => s.id)")
        assert len(sections) == 15
        assert all(tab.page.locator(f"#{name} h2").is_visible() for name in sections)
        small = "s => s.getBoundingClientRect()"
        assert tab.js(f"[...document.querySelectorAll('section')].map({small}).every(b => b.height > 60)")
        pictures = "[...document.images].map(i => { i.loading = 'eager'; return i.decode(); })"
        assert tab.js(f"Promise.all({pictures}).then(all => all.length)") > 20
        assert tab.js("document.documentElement.scrollWidth") == width_px
        assert tab.said == []
        assert [url for url in tab.asked if not url.startswith("data:")] == [report.as_uri()]


@pytest.mark.parametrize(("width_px", "scheme"), WINDOWS)
def test_all_text_can_be_told_from_its_ground(browser: Any, report: Path, width_px: int, scheme: str) -> None:
    with Tab(browser, report.as_uri(), width_px, scheme) as tab:
        tab.js("document.querySelectorAll('details').forEach(d => d.open = true)")
        found = tab.js(CONTRASTS)
        assert len(found) > 300
        assert [text for text in found if text["ratio"] < text["needed"]] == []


def test_dark_windows_get_a_dark_page(browser: Any, report: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    with Tab(browser, report.as_uri(), scheme="dark") as dark, Tab(browser, report.as_uri()) as light:
        assert max(dark.js(ground)) < 40 < 200 < min(light.js(ground))


@pytest.mark.parametrize("width_px", [360, 1280])
def test_every_reason_leads_to_its_samples(browser: Any, report: Path, width_px: int) -> None:
    with Tab(browser, report.as_uri(), width_px) as tab:
        links = tab.page.locator("a[href^='#rejected-']:visible")
        reasons = {"match-no_query", "screen_image-image_too_small", "dedup-near_duplicate"}
        assert links.count() == 2 * len(reasons)  # from the funnel and from the bars
        for place in range(links.count()):
            links.nth(place).focus()
            tab.page.keyboard.press("Enter")
            target = tab.js("decodeURIComponent(location.hash.slice(1))")
            reasons.discard(target.removeprefix("rejected-"))
            heading = tab.page.locator(f"[id='{target}']")
            assert 0 <= heading.bounding_box()["y"] < 400
            assert heading.locator("xpath=following-sibling::*[1]").locator(".measure").first.is_visible()
        assert not reasons


def test_the_keyboard_reaches_all_links_and_shows_where_it_is(browser: Any, report: Path) -> None:
    with Tab(browser, report.as_uri()) as tab:
        tab.page.keyboard.press("Tab")
        assert tab.js("document.activeElement.textContent") == "Skip to the content"
        assert tab.page.locator(".skip").bounding_box()["x"] >= 0
        tab.page.keyboard.press("Tab")
        seen = []
        while place := tab.js(PLACE):
            outline = tab.js("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid", tab.js("document.activeElement.outerHTML.slice(0, 200)")
            seen.append(place)
            tab.page.keyboard.press("Tab")
        order = "['nav', ...[...document.querySelectorAll('section')].map(s => s.id)]"
        assert [*dict.fromkeys(seen)] == [name for name in tab.js(order) if name in seen]
        assert {"funnel", "against", "kept", "reasons", "captions", "config"} <= set(seen)


def test_skipping_leads_past_the_links(browser: Any, report: Path) -> None:
    with Tab(browser, report.as_uri()) as tab:
        tab.page.keyboard.press("Tab")
        tab.page.keyboard.press("Enter")
        assert tab.js("document.activeElement.id") == "content"


def test_a_phone_sees_the_narrow_funnel_and_a_screen_the_wide_one(browser: Any, report: Path) -> None:
    for width_px, shown in {360: "on-narrow", 1280: "on-wide"}.items():
        with Tab(browser, report.as_uri(), width_px) as tab:
            assert tab.page.locator(f".sankey.{shown}").is_visible()
            assert tab.page.locator(".sankey:visible").count() == 1
            sizes = "[...document.querySelectorAll('.sankey text')].filter(t => t.checkVisibility())"
            heights = tab.js(f"{sizes}.map(t => t.getBoundingClientRect().height)")
            assert min(heights) > 11


def test_a_browser_runs_no_script_that_a_caption_brings(browser: Any, tmp_path: Path) -> None:
    hostile = "<script>console.log('RAN')</script><img src=x onerror=\"console.log('RAN')\">"
    root = make_dataset(tmp_path / "data", num_pairs=1, captions=[hostile], name=hostile)
    path = write_report(root)
    with Tab(browser, path.as_uri()) as tab:
        assert tab.said == []
        assert tab.page.title() == hostile
    # The second wall: with the caption not escaped, the page's policy still lets nothing run.
    broken = tmp_path / "broken.html"
    broken.write_text(path.read_text("utf-8").replace("<h1>", f"<h1>{hostile}"), "utf-8")
    with Tab(browser, broken.as_uri()) as tab:
        assert tab.said
        assert all("Content Security Policy" in said for said in tab.said)


def test_counts_of_billions_fit_a_phone(browser: Any, tmp_path: Path) -> None:
    root = make_reported(tmp_path)
    manifest, many = read_manifest(root), 10**9
    funnel = tuple(
        replace(
            stage,
            num_in=stage.num_in * many,
            num_out=stage.num_out * many,
            dropped={reason: count * many for reason, count in stage.dropped.items()},
        )
        for stage in manifest.funnel
    )
    write_manifest(root, replace(manifest, funnel=funnel))
    edges = "[...document.querySelectorAll('.on-narrow text')].map(t => t.getBoundingClientRect())"
    with Tab(browser, write_report(root).as_uri(), 360) as tab:
        assert tab.js("document.documentElement.scrollWidth") == 360
        assert tab.js(f"Math.min(...{edges}.map(b => b.left))") >= 0
        assert tab.js(f"Math.max(...{edges}.map(b => b.right))") <= 360
