"""A real browser for the tests of pages: a tab in a window, with all that the page says and asks for."""

import shutil
from typing import Any, Self

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install -e '.[dev]'")
NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium: apt-get install chromium")

# What WCAG 2.2 calls the contrast of text, of every element that holds text itself: {text, ratio, needed}.
# Backgrounds are those of the nearest ancestor that is not transparent; drawn text stands on its figure's.
CONTRASTS = """() => {
  const rgb = words => words.match(/[\\d.]+/g).map(Number);
  const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const light = c => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length === 3 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll('body *')].filter(e => e.checkVisibility() &&
    [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  return texts.map(e => {
    const style = getComputedStyle(e);
    const drawn = e.namespaceURI.endsWith('svg');
    const [one, two] = [light(rgb(drawn ? style.fill : style.color)), light(ground(e))].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const words = e.textContent.trim().slice(0, 40);
    return {text: words, ratio: (one + 0.05) / (two + 0.05), needed: large ? 3 : 4.5};
  }).filter(t => t.text);
}"""


class Tab:
    """A page in a window, with all that it says and asks for."""

    def __init__(self, browser: Any, address: str, width_px: int = 1280, scheme: str = "light") -> None:
        context = browser.new_context(
            viewport={"width": width_px, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page = context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.page.context.close()

    def js(self, script: str, argument: object = None) -> Any:
        return self.page.evaluate(script, argument)
