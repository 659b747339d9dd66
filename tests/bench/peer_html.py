"""MetaCLIP's HTML parser, written anew from its published algorithm, once per line of input (see html.py).

The algorithm (WARCCurator.parse_html, CC-BY-NC, not copied): every img element that selectolax's Modest
engine finds; its src joined to the page's address; alt, title and data-image-title as texts; line ends taken
out; addresses hashed; each text of an address kept once. Its language test is left out, to its advantage.
"""

import hashlib
import json
import pickle
import sys
import time
from collections import defaultdict
from pathlib import Path
from urllib.parse import urljoin

from selectolax.parser import HTMLParser  # type: ignore[attr-defined]  # gone from the version that we use

TEXTS = ["alt", "title", "data-image-title"]


def find_pictures(html: bytes, page_url: str, seen: dict[str, set[str]]) -> list[tuple[str, str]]:
    """Return (address, text) of a page's images, in the steps of the algorithm."""
    found = []
    for node in HTMLParser(html).tags("img"):
        texts, url = [], None
        for name in node.attrs.keys():  # noqa: SIM118  # not a dict
            if name not in [*TEXTS, "src"]:
                continue
            value = node.attrs[name]
            if value is None:
                continue
            value = value.strip().replace("\n", "").replace("\r", "")
            if not value:
                continue
            if name == "src":
                url = joined(page_url, value)
            else:
                texts.append(value)
        if url is None:
            continue
        known = seen[hashlib.sha224(url.encode("utf-8", "replace")).hexdigest()[:24]]
        for text in texts:
            if text not in known:
                known.add(text)
                found.append((url, text))
    return found


def joined(page_url: str, link: str) -> str | None:
    """Return an address made absolute."""
    try:
        return urljoin(page_url, link)
    except ValueError:
        return None


if __name__ == "__main__":
    pages, copies = pickle.loads(Path(sys.argv[1]).read_bytes()), int(sys.argv[3])
    for _ in sys.stdin:
        started = time.process_time()
        for _ in range(copies):
            rows = [(url, *row) for url, html in pages for row in find_pictures(html, url, defaultdict(set))]
        print(json.dumps({"cpu_s": time.process_time() - started, "num_rows": len(rows)}), flush=True)
        Path(sys.argv[2]).write_text(json.dumps(rows))
