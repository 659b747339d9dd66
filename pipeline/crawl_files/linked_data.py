"""JSON-LD: the ImageObjects that a page declares, with their caption, description or name (schema.org)."""

from collections.abc import Iterator
from typing import Any

import orjson

from pipeline.crawl_files.pictures import Picture

MAX_DEPTH = 8


def image_objects(script: str) -> Iterator[Picture]:
    """Yield the ImageObjects of one script that have an address and a text; nothing where it is not JSON.

    >>> next(image_objects('{"@type": "ImageObject", "url": "a.jpg", "caption": "A cup"}'))
    (['a.jpg'], [('A cup', 'json-ld')], None)
    """
    try:
        content = orjson.loads(script)
    except orjson.JSONDecodeError:  # as common on real pages as it is harmless
        return
    for thing in _things(content, MAX_DEPTH):
        kinds = thing.get("@type")
        if "ImageObject" not in (kinds if isinstance(kinds, list) else [kinds]):
            continue
        links = _strings(thing, "contentUrl", "url")
        texts = _strings(thing, "caption", "description", "name")
        if links and texts:
            licence = next(iter(_strings(thing, "license")), None)
            yield links, [(text, "json-ld") for text in texts], licence


def _things(content: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield the objects of a document, outer ones first."""
    if isinstance(content, dict):
        yield content
        content = list(content.values())
    if isinstance(content, list) and depth:
        for item in content:
            yield from _things(item, depth - 1)


def _strings(thing: dict[str, Any], *names: str) -> list[str]:
    return [value for name in names if isinstance(value := thing.get(name), str)]
