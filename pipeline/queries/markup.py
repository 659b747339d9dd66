"""Wikitext to the text that a reader sees: what words and bigrams are counted in.

Left out whole: comments, templates, tables, references, formulas, code, galleries, files and categories,
links to other languages, bare addresses. Reduced to their text: links, emphasis, headings, lists, HTML tags.
Words are read from the result, so marks that are no letters (= * # :) may stay.
"""

import html
import re

# Elements whose content is no prose. A <ref/> that ends at once has none.
_DROPPED = (
    "ref|math|chem|ce|gallery|timeline|score|syntaxhighlight|source|pre|graph|imagemap|mapframe|templatedata"
    "|hiero"
)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_NOWIKI = re.compile(r"<nowiki>(.*?)</nowiki>", re.DOTALL | re.IGNORECASE)
_EMPTY_ELEMENT = re.compile(rf"<(?:{_DROPPED}|nowiki)\b[^<>]*/>", re.IGNORECASE)
_ELEMENT = re.compile(rf"<({_DROPPED})\b[^<>]*>.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
_BREAK = re.compile(r"<(?:br|hr|/?p|/?div|/?li|/?blockquote|/?center|/?poem)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
# Templates and tables hold each other. "|}" ends a table only at the start of a line, and "|}}" a template.
# Of "}}}" the last two count: the first ends a "{" inside.
_FENCE = re.compile(r"\{\{|\}\}(?!\}(?!\}))|^[ \t:*#]*\{\||^[ \t]*\|\}(?!\})", re.MULTILINE)
_ADDRESS_LINK = re.compile(r"\[(?:https?:|ftp:)?//[^\s\]]+[ \t]*([^\[\]\n]*)\]", re.IGNORECASE)
_ADDRESS = re.compile(r"\b(?:https?|ftp)://[^\s|<>\[\]{}]+", re.IGNORECASE)
_LINK = re.compile(r"\[\[((?:[^\[\]]|\[(?!\[)|\](?!\]))*)\]\]")
_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z-]+)?")
_EMPHASIS = re.compile(r"''+")
_SWITCH = re.compile(r"__[A-Z]+__")
_LITERAL = str.maketrans(dict.fromkeys("[]{}|<>'", " "))
# A file's caption holds links, and now and then those hold a file; deeper ones are broken pages.
MAX_NESTED_LINKS = 6


def plain_text(wikitext: str, media_names: frozenset[str]) -> str:
    """Return the text of a page. `media_names` are the namespaces, case folded, whose links show no text.

    >>> plain_text("A '''[[dog|puppy]]'''{{cn|date=[[May]]}}<ref>p. 3</ref> sat.[[File:a.jpg|''x'' [[y]]]]",
    ...            frozenset({"file"}))
    'A puppy  sat.'
    """
    text = _COMMENT.sub("", wikitext)
    if "<" in text:
        text = _NOWIKI.sub(lambda found: found[1].translate(_LITERAL), text)
        text = _ELEMENT.sub(" ", _EMPTY_ELEMENT.sub("", text))
    text = without_fenced(text)
    text = _ADDRESS.sub("", _ADDRESS_LINK.sub(r"\1", text))
    for _ in range(MAX_NESTED_LINKS):  # innermost first
        text, num_links = _LINK.subn(lambda found: _link_text(found[1], media_names), text)
        if not num_links:
            break
    if "<" in text:
        text = _TAG.sub("", _BREAK.sub("\n", text))
    text = _SWITCH.sub("", _EMPHASIS.sub("", text))
    return html.unescape(text)  # last: "&lt;ref&gt;" is how a page shows a tag to its reader


def without_fenced(text: str) -> str:
    """Return the text without its {{templates}} and {| tables |}, however nested.

    One that is never closed stays as text, as MediaWiki shows it; what is whole inside it still goes.

    >>> without_fenced("a {{b|{{c}}|{d}}} e {{f")
    'a  e {{f'
    """
    open_fences: list[tuple[str, int]] = []
    kept: list[tuple[int, int]] = []  # spans to leave out, none inside another
    for fence in _FENCE.finditer(text):
        mark = fence[0].lstrip(" \t:*#")
        if mark in ("{{", "{|"):
            open_fences.append((mark, fence.start()))
            continue
        opener = "{{" if mark == "}}" else "{|"
        while any(kind == opener for kind, _ in open_fences):
            kind, start = open_fences.pop()
            if kind != opener:
                continue  # a fence that was never closed inside this one
            while kept and kept[-1][0] >= start:
                kept.pop()
            kept.append((start, fence.end()))
            break
    return _without(text, kept)


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    pieces, position = [], 0
    for start, end in spans:
        pieces.append(text[position:start])
        position = end
    return "".join([*pieces, text[position:]])


def _link_text(link: str, media_names: frozenset[str]) -> str:
    """Return what [[link]] shows."""
    target, _, label = link.partition("|")
    prefix, colon, _ = target.partition(":")
    if colon and prefix:
        prefix = prefix.strip()
        if prefix.casefold() in media_names or (not label and _LANGUAGE.fullmatch(prefix)):
            return ""
    return label or target.lstrip(": ")
