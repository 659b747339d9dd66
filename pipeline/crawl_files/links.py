"""Links on a page made absolute: equal to urllib.parse.urljoin, by hand where the link is of a common form.

urljoin takes half of the time that a WAT record needs; most links are `/a/b.jpg` or `//host/a/b.jpg`.
"""

import re
from urllib.parse import urljoin, urlsplit

HTTP = ("https://", "http://")
_NAME = r"[A-Za-z0-9_%+=,@~()!*&-]+"
# What urljoin hands on as it is: no dot segments, no empty ones, nothing that it would strip or cut.
_PLAIN_REST = rf"{_NAME}(?:[/.]{_NAME})*(?:\?[A-Za-z0-9_%+=,@~./&-]+)?"
_FROM_ROOT = re.compile(rf"/{_PLAIN_REST}")
_FROM_SCHEME = re.compile(rf"//[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*/{_PLAIN_REST}")
_FROM_FOLDER = re.compile(_PLAIN_REST)
_PLAIN_FOLDER = re.compile(rf"(?:/{_NAME}(?:\.{_NAME})*)*/")
# Most pages: their scheme, host and folder can be seen without urlsplit, at a fifth of the cost.
_PLAIN_PAGE = re.compile(
    rf"((https?:)//[A-Za-z0-9.-]+(?::[0-9]+)?)({_PLAIN_FOLDER.pattern})(?:{_NAME}(?:\.{_NAME})*)?(?:[?#]|\Z)"
)


class Base:
    """The address that a page's links are relative to."""

    __slots__ = ("_folder", "_root", "_scheme", "url")

    def __init__(self, page_url: str, base: str = "") -> None:
        """`base` is the page's <base href>, itself relative to the page; one that is no URL is ignored."""
        self.url = _joined(page_url, base) or page_url if base else page_url
        if page := _PLAIN_PAGE.match(self.url):
            self._root, self._scheme, folder = page.groups()
            self._folder = self._root + folder
        else:
            self._take_apart()

    def _take_apart(self) -> None:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        plain = parts.scheme in ("http", "https") and bool(parts.netloc)
        folder = parts.path[: parts.path.rfind("/") + 1] or "/"
        self._scheme = f"{parts.scheme}:" if plain else None
        self._root = f"{parts.scheme}://{parts.netloc}"
        self._folder = self._root + folder if plain and _PLAIN_FOLDER.fullmatch(folder) else None

    def join(self, link: str) -> str | None:
        """Return the absolute http or https URL of a link; None where it has none.

        >>> Base("https://a.example/b/c.html").join("../d.jpg")
        'https://a.example/d.jpg'
        >>> Base("https://a.example/", base="//cdn.example/x/").join("d.jpg")
        'https://cdn.example/x/d.jpg'
        >>> Base("https://a.example/").join("data:image/gif;base64,R0lGODlh") is None
        True
        """
        if link.startswith("/"):
            if link.startswith("//"):
                if self._scheme and _FROM_SCHEME.fullmatch(link):
                    return self._scheme + link
            elif self._scheme and _FROM_ROOT.fullmatch(link):
                return self._root + link
        elif link.startswith(HTTP):
            return link
        elif link.startswith("data:"):  # stands where a lazy picture will be: common, slow to take apart
            return None
        elif self._folder and _FROM_FOLDER.fullmatch(link):
            return self._folder + link
        url = _joined(self.url, link)
        return url if url is not None and url.startswith(HTTP) else None


def _joined(base: str, link: str) -> str | None:
    try:
        return urljoin(base, link)
    except ValueError:  # such as an unclosed bracket in the host
        return None
