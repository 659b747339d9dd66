"""HTML pages into the pictures that a person sees, each with every text that the page gives for it.

An <img> is taken at its src and at the best of its other addresses: lazy attributes, srcset, the sources of
its <picture>. Its texts are alt, title and the caption of its figure. To these come og:image and JSON-LD's
ImageObject. Sources: HTML Living Standard, 4.8 (images), 4.4.12 (figure); ogp.me; schema.org/ImageObject.
"""

from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.crawl_files.linked_data import image_objects
from pipeline.crawl_files.links import Base
from pipeline.crawl_files.pictures import Picture, links_and_texts, widest
from pipeline.crawl_files.rows import Found

# What WordPress, MediaWiki and many templates had before <figcaption>.
CAPTION_CLASSES = frozenset(("wp-caption-text", "thumbcaption", "gallerytext", "caption"))
MAX_CLIMB = 4
# One walk through the page for all that only a selector finds, with as few selectors as will do: each costs
# a test of every element. A <div> with an address and a text stands where a script puts a picture.
SELECTED = "[class*=caption], .gallerytext, div[data-src][data-alt], a[rel~=license], link[rel~=license]"


def find_pictures(html: bytes | str, page_url: str) -> list[Found]:
    """Return each (picture, text) of a page once: images in the order of the page, then og:image and JSON-LD.

    Bytes are read as UTF-8 (see `charsets`). Raises selectolax's errors for a page that is too large for it,
    for nothing else that a page holds.
    """
    tree = LexborHTMLParser(html)
    selected = tree.css(SELECTED)
    base = Base(page_url, _first_href(tree.tags("base")))
    named = _first_href([node for node in selected if node.tag in ("a", "link")])
    licence = base.join(named) if named else None
    found: dict[tuple[str, str], Found] = {}
    for links, texts, its_licence in (*_images(tree, selected), *_open_graph(tree), *_linked_data(tree)):
        own = base.join(its_licence) if its_licence else licence
        captions = [(" ".join(text.split()), origin) for text, origin in texts]
        for link in links:
            if (url := base.join(link.strip())) is None:
                continue
            for text, origin in captions:
                if text and (url, text) not in found:
                    found[url, text] = Found(url, text, origin, page_url, own)
    return list(found.values())


def _images(tree: LexborHTMLParser, selected: list[LexborNode]) -> Iterator[Picture]:
    """Yield the pictures that have a text. An inner figure's pictures have its caption."""
    captions, renditions = dict[int, str](), _widest_sources(tree.tags("source"))
    by_class = [n for n in selected if CAPTION_CLASSES & set((n.attributes.get("class") or "").split())]
    for node in (*tree.tags("figcaption"), *by_class):
        if text := _caption_text(node):
            captions.update((image.mem_id, text) for image in _captioned(node))
    for node in (*tree.tags("img"), *(node for node in selected if node.tag == "div")):
        links, texts = links_and_texts(node.attributes)
        if captions and (caption := captions.get(node.mem_id)):
            texts.append((caption, "figcaption"))
        if renditions and node.parent and (link := renditions.get(node.parent.mem_id)):
            links.append(link)
        if texts:
            yield Picture(links, texts)


def _open_graph(tree: LexborHTMLParser) -> list[Picture]:
    """Return og:image with its og:image:alt, and the first with the title that a shared link shows: a page
    may list every picture that it holds, and its title speaks of the first."""
    title, pictures = "", list[Picture]()
    for node in tree.tags("meta"):
        attributes = node.attributes
        name = (attributes.get("property") or attributes.get("name") or "").lower()
        content = attributes.get("content") or ""
        if name in ("og:image", "og:image:url"):
            pictures.append(Picture([content], []))
        elif name == "og:image:alt" and pictures:
            pictures[-1].texts.append((content, "og"))
        elif name == "og:title":
            title = content
    if pictures and not pictures[0].texts:
        pictures[0].texts.append((title, "og"))
    return pictures


def _linked_data(tree: LexborHTMLParser) -> Iterator[Picture]:
    """Yield the ImageObjects of the page's JSON-LD."""
    for node in tree.tags("script"):
        if (node.attributes.get("type") or "").lower() == "application/ld+json":
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
        if pictures := node.css("img, div[data-src][data-alt]"):
            return pictures if node.tag == "figure" or len(pictures) == 1 else []
        node = node.parent
    return []


def _widest_sources(sources: list[LexborNode]) -> dict[int, str]:
    """Return, by the identity of a <picture>, the widest address of its first source."""
    found = dict[int, str]()
    for source in sources:
        picture, attributes = source.parent, source.attributes
        best = widest(attributes.get("srcset") or attributes.get("data-srcset") or "")
        if best and picture is not None and picture.tag == "picture":
            found.setdefault(picture.mem_id, best)
    return found


def _first_href(nodes: list[LexborNode]) -> str:
    """Return the first address that one of the elements has, "" where none has one."""
    return next((href.strip() for node in nodes if (href := node.attributes.get("href"))), "")
