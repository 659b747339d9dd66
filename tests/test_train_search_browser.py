"""The search page in a real browser: type, look, open, search by a picture, without a word, on a phone."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import browsing
from tests.browsing import CONTRASTS, NEEDS_CHROMIUM, playwright
from tests.fakes import make_dataset, make_picture
from tests.tiny_search import make_index, make_video, serving
from train.search.searcher import Searcher

pytestmark = NEEDS_CHROMIUM

HOSTILE = "<img src=x onerror=\"console.log('RAN')\"><script>console.log('RAN')</script>"
NUM_SHAPES = 60


@pytest.fixture(scope="module")
def searcher(tmp_path_factory: pytest.TempPathFactory) -> Searcher:
    """An index of shapes, of files with hostile names and texts, and of a video."""
    root = tmp_path_factory.mktemp("page")
    shapes = make_dataset(root / "shapes", num_pairs=NUM_SHAPES, pairs_per_shard=30)
    files = root / "files"
    files.mkdir()
    (files / "a'\"><b onclick=x>&amp;.jpg").write_bytes(make_picture(21))
    (files / "text.jpg").write_bytes(make_picture(22))
    (files / "text.txt").write_text(HOSTILE)
    make_video(files / "clip.mp4", ["navy"], seconds_each=1)
    return make_index(root, shapes, files)


@pytest.fixture(scope="module")
def page(searcher: Searcher) -> Iterator[str]:
    """The address of its page."""
    with serving(searcher, queries_per_s=1_000.0) as port:
        yield f"http://127.0.0.1:{port}"


class Tab(browsing.Tab):
    """The page when it has shown its first pictures, and what a person does there."""

    def __init__(self, browser: Any, address: str, width_px: int = 1280, scheme: str = "light") -> None:
        super().__init__(browser, address, width_px, scheme)
        self.wait("Some of")

    def until(self, script: str, argument: object = None) -> None:
        """Wait until a script says true; the page's policy allows no script that waits in the page itself."""
        end = time.monotonic() + 20
        while not self.js(script, argument):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(20)

    def wait(self, status: str) -> None:
        """Wait until the line above the pictures says so and nothing is on its way."""
        said = "document.getElementById('status').textContent.includes(words)"
        self.until(f"words => {said} && !document.body.matches('.busy')", status)

    def type(self, name: str, words: str) -> list[str]:
        """Type words into a field and return the captions that are then shown."""
        with self.page.expect_response(lambda response: "/search?" in response.url):
            self.page.fill(f"#{name}", words)
        self.wait("nearest of")
        return self.captions()

    def captions(self) -> list[str]:
        found: list[str] = self.js("[...document.querySelectorAll('#grid .words')].map(e => e.textContent)")
        return found


def expected(searcher: Searcher, **asked: Any) -> list[str]:
    from train.search.question import Question

    return [hit.row["caption"] for hit in searcher.search(Question(**asked), 40, show_unsafe=False)]


@pytest.mark.parametrize(("width_px", "scheme"), [(360, "light"), (360, "dark"), (1280, "light")])
def test_pictures_are_seen_in_every_window_without_a_complaint(
    browser: Any, page: str, width_px: int, scheme: str
) -> None:
    with Tab(browser, page, width_px, scheme) as tab:
        assert len(tab.type("words", "a red circle")) == 40
        assert tab.js("document.documentElement.scrollWidth") == width_px
        decoded = (
            "Promise.all([...document.images].filter(i => i.src).map(i => (i.loading = 'eager', i.decode())))"
        )
        assert tab.js(f"{decoded}.then(all => all.length)") == 40
        assert [text for text in tab.js(CONTRASTS) if text["ratio"] < text["needed"]] == []
        tab.page.locator("#grid button").first.click()
        assert tab.page.locator("#dialog").is_visible()
        assert tab.js("document.documentElement.scrollWidth") == width_px
        assert [text for text in tab.js(CONTRASTS) if text["ratio"] < text["needed"]] == []
        assert tab.said == []
        assert all(url.startswith((page, "blob:")) for url in tab.asked)


def test_typing_shows_what_the_search_finds(browser: Any, page: str, searcher: Searcher) -> None:
    with Tab(browser, page) as tab:
        assert tab.type("words", "a blue square") == expected(searcher, words="a blue square")
        less = tab.type("minus", "square")
        assert less == expected(searcher, words="a blue square", minus="square")
        assert less != expected(searcher, words="a blue square")
        assert tab.js("location.search") == "?q=a+blue+square&minus=square"


def test_a_picture_that_is_opened_tells_all_and_leads_on(browser: Any, page: str) -> None:
    with Tab(browser, page) as tab:
        first = tab.type("words", "green")[0]
        tab.page.locator("#grid button").first.click()
        assert tab.page.locator("#caption").text_content() == first
        assert {"Licence", "Page", "Picture", "Source", "Key"} <= set(
            tab.js("[...document.querySelectorAll('dt')].map(e => e.textContent)")
        )
        tab.until("document.getElementById('large').naturalWidth > 0")
        with tab.page.context.expect_page() as opened:
            tab.page.locator("#why").click()
        assert opened.value.locator("h1").text_content() == "Why is this here?"
        assert first in opened.value.locator("header").text_content()
        tab.page.locator("#like").click()
        tab.wait("nearest of")
        assert tab.captions()[0] == first
        assert tab.page.locator("#chip").is_visible()


def test_an_uploaded_picture_finds_itself_and_is_let_go(browser: Any, page: str, tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(make_picture(5))
    with Tab(browser, page) as tab:
        tab.page.set_input_files("#file", tmp_path / "mine.jpg")
        tab.wait("nearest of")
        assert tab.captions()[0].startswith("a orange square on black")
        assert tab.page.locator("#asked-name").text_content() == "mine.jpg"
        tab.type("words", "a red circle")
        assert tab.page.locator("#weight").is_visible()
        tab.page.fill("#weight", "0")
        tab.until("location.search.includes('weight=0')")
        tab.page.locator("#drop").click()
        tab.until("document.getElementById('chip').hidden")
        assert tab.said == []


@pytest.mark.parametrize("event", ["paste", "drop"])
def test_a_picture_is_pasted_or_dropped(browser: Any, page: str, event: str) -> None:
    script = """([kind, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], 'x.jpg', {type: 'image/jpeg'}));
      const options = {bubbles: true, cancelable: true};
      document.body.dispatchEvent(kind === 'drop' ? new DragEvent(kind, {...options, dataTransfer: data})
        : new ClipboardEvent(kind, {...options, clipboardData: data}));
    }"""
    with Tab(browser, page) as tab:
        tab.js(script, [event, list(make_picture(3))])
        tab.wait("nearest of")
        assert tab.captions()[0].startswith("a yellow square on black")
        assert tab.said == []


def test_keys_alone_are_enough(browser: Any, page: str) -> None:
    with Tab(browser, page) as tab:
        tab.page.keyboard.press("Tab")
        tab.js("document.activeElement.blur()")
        tab.page.keyboard.press("/")
        tab.page.keyboard.type("red")
        tab.page.keyboard.press("Enter")
        tab.wait("nearest of")
        tab.page.keyboard.press("ArrowDown")
        tab.page.keyboard.press("ArrowRight")
        tab.page.keyboard.press("Enter")
        assert tab.page.locator("#caption").text_content() == tab.captions()[1]
        tab.page.keyboard.press("ArrowRight")
        assert tab.page.locator("#caption").text_content() == tab.captions()[2]
        tab.page.keyboard.press("Escape")
        assert not tab.page.locator("#dialog").is_visible()
        focus = "[...document.querySelectorAll('#grid button')].indexOf(document.activeElement)"
        tab.until(f"{focus} === 2")
        tab.page.keyboard.press("ArrowDown")
        assert tab.js(focus) > 3
        assert tab.js("getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_the_way_back_leads_to_what_was_asked_before(browser: Any, page: str) -> None:
    with Tab(browser, page) as tab:
        first = tab.type("words", "red")
        tab.type("words", "blue")
        tab.page.go_back()
        tab.until("location.search === '?q=red'")
        tab.wait("nearest of")
        assert (tab.captions(), tab.page.input_value("#words")) == (first, "red")
        tab.page.reload()
        tab.wait("nearest of")
        assert tab.captions() == first


def test_more_are_shown_when_asked_for(browser: Any, page: str, searcher: Searcher) -> None:
    with Tab(browser, page) as tab:
        tab.type("words", "red")
        tab.page.locator("#rest").click()
        tab.until("document.querySelectorAll('#grid li').length > 40")
        assert len(tab.captions()) == searcher.parts.num_rows
        assert not tab.page.locator("#rest").is_visible()


def test_no_caption_and_no_file_name_runs_as_a_script(browser: Any, page: str) -> None:
    with Tab(browser, page) as tab:
        tab.type("words", HOSTILE)
        tab.page.locator("#rest").click()
        tab.until("document.querySelectorAll('#grid li').length > 40")
        place = tab.captions().index(HOSTILE)
        tab.page.locator("#grid button").nth(place).click()
        assert tab.page.locator("#caption").text_content() == HOSTILE
        tab.page.goto(page + tab.page.locator("#why").get_attribute("href"))
        assert HOSTILE in tab.page.locator("header").text_content()
        assert tab.said == []
    with Tab(browser, page) as tab:
        tab.js("void document.body.append(document.createElement('p'))")
        with pytest.raises(playwright.Error, match="TrustedHTML"):
            tab.js(f"document.querySelector('p').innerHTML = {HOSTILE!r}")


def test_a_frame_of_a_video_tells_its_time(browser: Any, page: str) -> None:
    pytest.importorskip("av", reason="needs PyAV: pip install -e '.[video]'")
    with Tab(browser, page) as tab:
        tab.type("words", "clip")
        tab.page.locator("#rest").click()
        tab.until("document.querySelectorAll('#grid li').length > 40")
        frame = tab.page.locator("#grid button", has=tab.page.locator(".time"))
        assert frame.locator(".time").text_content() == "0:00"
        frame.click()
        assert "0:00 of clip.mp4" in tab.page.locator("#facts").text_content()


def test_a_server_that_says_no_is_told_of(browser: Any, searcher: Searcher, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    with serving(searcher, queries_per_s=0.01) as port, Tab(browser, f"http://127.0.0.1:{port}") as tab:
        tab.page.set_input_files("#file", tmp_path / "broken.jpg")
        tab.wait("no JPEG, PNG, WebP or GIF")
        for number in range(20):
            tab.page.fill("#words", f"{number}")
            tab.page.keyboard.press("Enter")
        tab.wait("too many questions at once")
        assert tab.page.locator("#status.bad").is_visible()
