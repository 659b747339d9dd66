"""One picture of a page: its addresses and texts, read from the attributes of its element."""

from collections.abc import Mapping

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
_SRCSET = -1
# What an attribute's address is: _SRCSET, or its rank among the lazy.
_ROLES = {
    "srcset": _SRCSET,
    "data-srcset": _SRCSET,
    "data-lazy-srcset": _SRCSET,
    **{name: rank for rank, name in enumerate(_LAZY)},
}
_BESIDE_SRC = frozenset(_ROLES)

# Links to one picture, (text, origin) of what is said of it, a link to a licence of its own. A plain tuple,
# since pages have many.
Picture = tuple[list[str], list[tuple[str, str]], str | None]


def texts_of(attributes: Mapping[str, str | None]) -> list[tuple[str, str]]:
    """Return an image's own texts with their origins, its alt first: of equal texts that one counts.

    >>> texts_of({"src": "a.jpg", "title": "Mine", "alt": "A cup"})
    [('A cup', 'alt'), ('Mine', 'title')]
    """
    texts: list[tuple[str, str]] = []
    get = attributes.get
    # No loop over the names: half of all images have no text, and this is asked of each.
    if text := get("alt"):
        texts.append((text, "alt"))
    if text := get("data-alt"):
        texts.append((text, "alt"))
    if text := get("title"):
        texts.append((text, "title"))
    if text := get("data-image-title"):
        texts.append((text, "title"))
    return texts


def links_of(attributes: Mapping[str, str | None]) -> list[str]:
    """Return an image's links: its src, its best lazy address, the widest of its srcset.

    >>> links_of({"src": "s.gif", "data-original": "c.jpg", "data-src": "b.jpg", "alt": "A cup"})
    ['s.gif', 'b.jpg']
    """
    links = [src] if (src := attributes.get("src")) else []
    if _BESIDE_SRC.isdisjoint(attributes):
        return links
    lazy, srcset, best_rank = "", "", len(_LAZY)
    for name, value in attributes.items():
        role = _ROLES.get(name)
        if role is None or not value:
            continue
        if role == _SRCSET:
            srcset = value
        elif role < best_rank:
            lazy, best_rank = value, role
    if lazy:
        links.append(lazy)
    if srcset and (best := widest(srcset)):
        links.append(best)
    return links


def widest(srcset: str) -> str | None:
    """Return the address of the widest or densest image candidate; data: URLs are passed over.

    >>> widest("a.jpg, b.jpg 2x"), widest("/c,w_100.jpg 100w, /d.jpg 300w"), widest("")
    ('b.jpg', '/d.jpg', None)
    """
    best, best_size, link = None, 0.0, ""
    for token in srcset.split():
        if not link:  # an address, which may hold commas; one at its end says that no size follows
            link = token.rstrip(",").lstrip(",")
            size, rest = (1.0, "") if token.endswith(",") else (None, "")
        else:
            descriptor, _, rest = token.partition(",")
            size = _number(descriptor[:-1])
        if size is None:
            continue
        if size > best_size and link and not link.startswith("data:"):
            best, best_size = link, size
        link = rest
    return best or link or None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # a size that is none, such as 1.2.3x
        return 1.0
