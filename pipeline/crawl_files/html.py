"""HTML pages into the pictures that a person sees, each with every text that the page gives for it.

An <img> is taken at its src and at the best of its other addresses: lazy attributes, srcset, the sources of
its <picture>. Its texts are alt, title and the caption of its figure. To these come og:image and JSON-LD's
ImageObject. What stands where a lazy picture will be cannot be told from a picture by its address, and is
kept; it is small, so that the checks of images drop it. Videos' posters are not looked for. Sources: HTML
Living Standard, 4.8 (images), 4.4.12 (figure); ogp.me; schema.org/ImageObject.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from selectolax.lexbor import LexborDocumentOptions, LexborHTMLParser, LexborNode

from pipeline.crawl_files.linked_data import image_objects
from pipeline.crawl_files.links import HTTP, Base
from pipeline.crawl_files.pictures import Picture, links_of, texts_of, widest
from pipeline.crawl_files.rows import Found

# What WordPress, MediaWiki and many templates had before <figcaption>.
CAPTION_CLASSES = frozenset(("wp-caption-text", "thumbcaption", "gallerytext", "caption"))
MAX_CLIMB = 4
PICTURES = "img, div[data-src][data-alt]"
# One walk through the page for all that is looked at, since each costs a tenth of parsing it. Half of all
# images have no text and are left out, unless a caption names them. A <div> with an address and a text stands
# where a script puts a picture.
SELECTED = (
    'img:is([alt]:not([alt=""]), [title], [data-alt], [data-image-title]), '
    "div:is(.gallerytext, [data-src][data-alt]), figcaption, [class*=caption], base, [rel~=license], "
    'meta:is([property^="og:" i], [name^="og:" i]), script[type^="application/ld+json" i]'
)
# What is something else, whatever its class.
NO_CAPTIONS = frozenset(("img", "figcaption", "base", "meta", "script", "link"))

Nodes = Mapping[str, Collection[LexborNode]]


def find_pictures(html: bytes | str, page_url: str) -> list[Found]:
    """Return each (picture, text) of a page once: images that have a text, in the order of the page, those
    that have but a caption, og:image, JSON-LD.

    Bytes are read as UTF-8 (see `charsets`). Raises selectolax's errors for a page that is too large for it,
    for nothing else that a page holds.
    """
    nodes = _selected(LexborHTMLParser(html, options=LexborDocumentOptions.WO_EVENTS))
    base = Base(page_url, _first_href(nodes["base"]))
    named = _first_href([node for tag in ("link", "a") for node in nodes[tag]])
    licence = base.join(named) if named else None
    found: dict[tuple[str, str], Found] = {}
    for links, texts, its_licence in chain(_images(nodes), _open_graph(nodes), _linked_data(nodes)):
        own = base.join(its_licence) if its_licence else licence
        for text, origin in texts:
            caption = " ".join(text.split())
            for link in links if caption else ():
                link = link.strip()
                url = link if link.startswith(HTTP) else base.join(link)
                if url and (key := (url, caption)) not in found:
                    found[key] = Found(url, caption, origin, page_url, own)
    return list(found.values())


def _selected(tree: LexborHTMLParser) -> Nodes:
    """Return what is looked at by tag, in the order of the page; twice where two selectors match it."""
    nodes = defaultdict[str, list[LexborNode]](list)
    for node in tree.css(SELECTED):
        nodes[node.tag or ""].append(node)
    return nodes


def _images(nodes: Nodes) -> Iterator[Picture]:
    """Yield the pictures that have a text. An inner figure's pictures have its caption."""
    captions: dict[int, tuple[str, LexborNode]] = {}
    for node in (*nodes["figcaption"], *_captions_by_class(nodes)):
        if text := _caption_text(node):
            captions.update((image.mem_id, (text, image)) for image in _captioned(node))
    for node in (*nodes["img"], *nodes["div"]):
        attributes = node.attributes
        texts = texts_of(attributes)
        if captions and (named := captions.pop(node.mem_id, None)):
            texts.append((named[0], "figcaption"))
        if texts:
            yield _links(node, attributes), texts, None
    for text, node in captions.values():
        yield _links(node, node.attributes), [(text, "figcaption")], None


def _links(image: LexborNode, attributes: Mapping[str, str | None]) -> list[str]:
    """Return the links of an image and the widest address of the first source of its <picture>."""
    links, picture = links_of(attributes), image.parent
    if picture is not None and picture.tag == "picture":
        sources = (source.attributes for source in picture.css("source"))
        sets = (source.get("srcset") or source.get("data-srcset") or "" for source in sources)
        links += next(([best] for names in sets if (best := widest(names))), [])
    return links


def _captions_by_class(nodes: Nodes) -> Iterator[LexborNode]:
    for tag, its_nodes in nodes.items():
        if tag not in NO_CAPTIONS:
            for node in its_nodes:
                if not CAPTION_CLASSES.isdisjoint((node.attributes.get("class") or "").split()):
                    yield node


def _open_graph(nodes: Nodes) -> list[Picture]:
    """Return og:image with its og:image:alt, and the first with the title that a shared link shows: a page
    may list every picture that it holds, and its title speaks of the first."""
    title, pictures = "", list[Picture]()
    for node in nodes["meta"]:
        attributes = node.attributes
        name = (attributes.get("property") or attributes.get("name") or "").lower()
        content = attributes.get("content") or ""
        if name in ("og:image", "og:image:url"):
            pictures.append(([content], [], None))
        elif name == "og:image:alt" and pictures:
            pictures[-1][1].append((content, "og"))
        elif name == "og:title":
            title = content
    if pictures and not pictures[0][1]:
        pictures[0][1].append((title, "og"))
    return pictures


def _linked_data(nodes: Nodes) -> Iterator[Picture]:
    """Yield the ImageObjects of the page's JSON-LD."""
    for node in nodes["script"]:
        yield from image_objects(node.text())


def _caption_text(caption: LexborNode) -> str:
    """Return a caption's text, of the part that is marked as such where a credit stands beside it."""
    marked = caption.css("[itemprop=caption]") if caption.tag == "figcaption" else []
    return (marked[0] if marked else caption).text().strip()


def _captioned(caption: LexborNode) -> list[LexborNode]:
    """Return the pictures that a caption belongs to: all of its figure, or the only one that is near."""
    node = caption.parent
    for _ in range(MAX_CLIMB):
        if node is None or node.tag == "body":
            return []
        if pictures := node.css(PICTURES):
            return pictures if node.tag == "figure" or len(pictures) == 1 else []
        node = node.parent
    return []


def _first_href(nodes: Collection[LexborNode]) -> str:
    """Return the first address that one of the elements has, "" where none has one."""
    return next((href.strip() for node in nodes if (href := node.attributes.get("href"))), "")
