"""HTML pages into the pictures that a person sees, each with every text that the page gives for it.

An <img> is taken at its src and at the best of its other addresses: lazy attributes, srcset, the sources of
its <picture>. Its texts are alt, title and the caption of its figure. To these come og:image and JSON-LD's
ImageObject. Sources: HTML Living Standard, 4.8 (images), 4.4.12 (figure); ogp.me; schema.org/ImageObject.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from selectolax.lexbor import LexborHTMLParser, LexborNode

from pipeline.crawl_files.linked_data import image_objects
from pipeline.crawl_files.links import Base
from pipeline.crawl_files.pictures import Picture, links_and_texts, widest
from pipeline.crawl_files.rows import Found

# figcaption, and what WordPress, MediaWiki and many templates had before it.
CAPTIONS = "figcaption, .wp-caption-text, .thumbcaption, .gallerytext, .caption, [itemprop=caption]"
MAX_CLIMB = 4
# One walk through the page finds all that is looked at; each further query would cost another walk.
WANTED = (
    f"img, {CAPTIONS}, div[data-src][data-alt], base[href], meta[content], "
    "script[type='application/ld+json' i], "
    "a[rel~=license], link[rel~=license], a[href*='creativecommons.org/licenses/']"
)
_SPACE = re.compile(r"[ \t\n\f\r]+")


def find_pictures(html: bytes | str, page_url: str) -> Iterator[Found]:
    """Yield each (picture, text) of a page once: images in the order of the page, then og:image and JSON-LD.

    Bytes are decoded as the page itself declares, UTF-8 where it does not. Raises selectolax's errors for a
    page that is too large for it, for nothing else that a page holds.
    """
    page = _Page.read(html)
    base = Base(page_url, page.base)
    licence = next((url for link in page.licences if (url := base.join(link))), None)
    seen = set[tuple[str, str]]()
    for picture in (*page.images(), *page.open_graph(), *page.linked_data()):
        own = picture.licence and base.join(picture.licence)
        texts = [(_SPACE.sub(" ", text).strip(), origin) for text, origin in picture.texts]
        for link in dict.fromkeys(picture.links):
            if (url := base.join(link.strip())) is None:
                continue
            for text, origin in texts:
                if text and (url, text) not in seen:
                    seen.add((url, text))
                    yield Found(url, text, origin, page_url, own or licence)


@dataclass(slots=True)
class _Page:
    """The nodes of a page that matter, by what they are. `tree` owns them."""

    tree: LexborHTMLParser
    images_at: list[LexborNode] = field(default_factory=list)
    captions_at: list[LexborNode] = field(default_factory=list)
    meta: list[LexborNode] = field(default_factory=list)
    scripts: list[LexborNode] = field(default_factory=list)
    licences: list[str] = field(default_factory=list)
    base: str = ""

    @classmethod
    def read(cls, html: bytes | str) -> "_Page":
        """Parse a page and sort what it holds."""
        page = cls(LexborHTMLParser(html, encoding=isinstance(html, bytes)))
        by_tag = {"img": page.images_at, "meta": page.meta, "script": page.scripts}
        for node in page.tree.css(WANTED):
            tag = node.tag
            if (nodes := by_tag.get(tag or "")) is not None:
                nodes.append(node)
            elif tag == "base":
                page.base = page.base or (node.attributes.get("href") or "").strip()
            elif tag in ("a", "link"):
                page.licences.append((node.attributes.get("href") or "").strip())
            elif "data-src" in node.attributes:  # a stand-in for a picture that a script puts there
                page.images_at.append(node)
            else:
                page.captions_at.append(node)
        return page

    def images(self) -> Iterator[Picture]:
        """Yield the pictures that have a text. An inner figure's pictures have its caption."""
        captions = dict[int, str]()
        for node in self.captions_at:
            if text := node.text().strip():
                captions.update((image.mem_id, text) for image in _captioned(node))
        for node in self.images_at:
            links, texts = links_and_texts(node.attributes)
            if caption := captions.get(node.mem_id):
                texts.append((caption, "figcaption"))
            if texts:
                yield Picture([*links, *_sources(node)], texts)

    def open_graph(self) -> Iterator[Picture]:
        """Yield og:image with its og:image:alt, and the first with the title that a shared link shows: a page
        may list every picture that it holds, and its title speaks of the first."""
        title, pictures = "", list[Picture]()
        for node in self.meta:
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
        yield from pictures

    def linked_data(self) -> Iterator[Picture]:
        """Yield the ImageObjects of the page's JSON-LD."""
        for node in self.scripts:
            yield from image_objects(node.text())


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


def _sources(image: LexborNode) -> Iterator[str]:
    """Yield the widest address of the first source of the <picture> that an image stands in."""
    parent = image.parent
    if parent is None or parent.tag != "picture":
        return
    for source in parent.css("source"):
        attributes = source.attributes
        if best := widest(attributes.get("srcset") or attributes.get("data-srcset") or ""):
            yield best
            return
