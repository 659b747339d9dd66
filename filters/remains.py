"""What machines leave in captions: markup and templates that nobody filled in, and letters read wrongly."""

import re

from ftfy import fix_encoding
from ftfy.badness import is_bad

_MARKUP = {
    "tag": re.compile(r"</?[a-z][\w-]*(?:\s[^<]*|/?)(?:>|$)", re.IGNORECASE),
    "attribute": re.compile(r"\b(?:class|style|href|src|alt|title|width|height|id|rel|target)=[\"']"),
    "entity": re.compile(r"&(?:#\d{2,6}|#x[0-9a-f]{2,5}|[a-z]{2,8}\d?);", re.IGNORECASE),
    "template": re.compile(r"\{\{|\}\}|<%|%>|\$\{|%\([a-z_]+\)s|\{[a-z_]+[._][a-z_.]+\}"),
    "shortcode": re.compile(r"\[/[a-z_]+\]|\[[a-z_]+(?: [a-z_]+=\S+)+ ?\]|\[(?:img|url|b|i|quote)\]", re.I),
}
_SIGNS = re.compile(r"[<&{%$\[=]")
_LOST = "\ufffd"  # what a decoder writes where it could not read


def markup_kind(caption: str) -> str | None:
    """Return what sort of markup is left in a caption, or None.

    >>> markup_kind("{{ product.title }}"), markup_kind("Jackie Brown [DVD] <3")
    ('template', None)
    """
    if not _SIGNS.search(caption):
        return None
    return next((kind for kind, pattern in _MARKUP.items() if pattern.search(caption[:2000])), None)


def repair_encoding(text: str) -> str:
    """Return a text whose UTF-8 was once read as another encoding as it was meant; other texts as they are.

    >>> repair_encoding("Caf\\u00c3\\u00a9 \\u00e2\\u20ac\\u201c Paris"), repair_encoding("Café")
    ('Café – Paris', 'Café')
    """
    return text if text.isascii() else fix_encoding(text)


def mojibake_kind(caption: str) -> str | None:
    """Return why a caption's letters are not the ones that were meant, or None.

    >>> mojibake_kind("M\\ufffdscara"), mojibake_kind("Mascara")
    ('lost characters', None)
    """
    if caption.isascii():
        return None
    if _LOST in caption:
        return "lost characters"
    return "wrong characters" if is_bad(caption) else None
