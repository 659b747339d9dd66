"""One picture of a page: its addresses and texts, read from the attributes of its element."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

# Where pages keep the address of a picture that is loaded when it is scrolled to: the usual libraries' names,
# the best first. A name that is not here has not been seen to hold a picture on a real page.
_LAZY = (
    *("data-src", "data-original", "data-lazy-src", "data-lazy", "data-original-src", "data-orig-file"),
    *(
        "data-large-file",
        "data-full-src",
        "data-hi-res-src",
        "data-image-src",
        "data-img-src",
        "data-actualsrc",
    ),
    *("data-raw-src", "data-runner-src", "data-source-standard", "data-defer-src", "data-delayed-url"),
    *("data-echo", "data-ll-src", "data-cfsrc", "data-lazyload", "data-td-src", "datasrc", "original"),
)
_RANK = {name: rank for rank, name in enumerate(_LAZY)}
_SRCSETS = frozenset(("srcset", "data-srcset", "data-lazy-srcset"))
_ORIGINS = {"alt": "alt", "data-alt": "alt", "title": "title", "data-image-title": "title"}
_CANDIDATE = re.compile(r"[\s,]*(\S*[^\s,])(?:\s+([\d.]+)[wxh])?[^,]*(?:,|$)")


@dataclass(slots=True)
class Picture:
    """Links to one picture, (text, origin) of what is said of it, and a link to a licence of its own."""

    links: list[str]
    texts: list[tuple[str, str]]
    licence: str | None = None


def links_and_texts(attributes: Mapping[str, str | None]) -> tuple[list[str], list[tuple[str, str]]]:
    """Return an image's links (its src, its best lazy address, the widest of its srcset) and its texts.

    >>> links_and_texts({"src": "s.gif", "data-src": "b.jpg", "alt": "A cup", "title": ""})
    (['s.gif', 'b.jpg'], [('A cup', 'alt')])
    """
    links, texts = list[str](), list[tuple[str, str]]()
    lazy, srcset, best_rank = "", "", len(_RANK)
    for name, value in attributes.items():
        if not value:
            continue
        if name == "src":
            links.append(value)
        elif origin := _ORIGINS.get(name):
            texts.append((value, origin))
        elif name in _SRCSETS:
            srcset = value
        elif _RANK.get(name, best_rank) < best_rank:
            lazy, best_rank = value, _RANK[name]
    texts.sort(key=lambda text: text[1])  # of equal texts the alt counts
    if lazy:
        links.append(lazy)
    if srcset and (best := widest(srcset)):
        links.append(best)
    return links, texts


def widest(srcset: str) -> str | None:
    """Return the address of the widest or densest image candidate; data: URLs are passed over.

    >>> widest("a.jpg, b.jpg 2x"), widest("/c,w_100.jpg 100w, /d.jpg 300w"), widest("")
    ('b.jpg', '/d.jpg', None)
    """
    best, best_size = None, 0.0
    for link, number in _CANDIDATE.findall(srcset):
        size = _number(number)
        if size > best_size and not link.startswith("data:"):
            best, best_size = link, size
    return best


def _number(text: str) -> float:
    try:
        return float(text or 1.0)
    except ValueError:  # such as 1.2.3
        return 1.0
