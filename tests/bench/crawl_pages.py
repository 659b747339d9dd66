"""Real pages for the benchmarks of crawl files, and a WAT file made of their real links.

No WAT file of useful size is at hand: ours has the records that Common Crawl's have (request, response with
its links, metadata, each a gzip member), filled with all links of real pages, as ia-web-commons writes them.
"""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from selectolax.lexbor import LexborHTMLParser, LexborNode

WARC = Path(__file__).parents[3] / "shared" / "data" / "warc"
LINKED = {"a": "href", "img": "src", "link": "href", "script": "src", "form": "action", "iframe": "src"}


def real_pages() -> list[tuple[str, bytes]]:
    """Return (address, HTML) of the 19 pages of readability and the 45 of two crawls."""
    pages = [
        (f"https://{path.name.partition('.')[0]}.example/news/page.html", gzip.decompress(path.read_bytes()))
        for path in sorted((WARC / "html/readability").glob("*.html.gz"))
    ]
    for name in ("warcfile.warc.gz", "clueweb-quirk.warc.gz"):
        with (WARC / "resiliparse" / name).open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, quirks_mode=True):
                pages.append((record.headers["WARC-Target-URI"], record.reader.read()))
    return pages


def write_wat(path: Path, copies: int) -> int:
    """Write a WAT file of all real pages, so many times over; return its number of records."""
    records = [(url, links_of(html)) for url, html in real_pages()]
    with path.open("wb") as file:
        num_records = 0
        for copy in range(copies):
            for url, metadata in records:
                page_url = url.replace("://", f"://copy{copy}.", 1)
                for content in wat_records(page_url, metadata):
                    file.write(gzip.compress(content, compresslevel=6))
                    num_records += 1
    return num_records


def links_of(html: bytes) -> dict[str, object]:
    """Return the HTML-Metadata of a page."""
    tree = LexborHTMLParser(html, encoding=True)
    head: dict[str, object] = {"Metas": [node.attributes for node in tree.css("meta")]}
    if base := tree.css("base[href]"):
        head["Base"] = base[0].attributes["href"]
    return {"Head": head, "Links": list(_links(tree))}


def _links(tree: LexborHTMLParser) -> Iterator[dict[str, str]]:
    for node in tree.css(", ".join(f"{tag}[{attribute}]" for tag, attribute in LINKED.items())):
        attribute = LINKED[str(node.tag)]
        link = {"path": f"{str(node.tag).upper()}@/{attribute}", "url": node.attributes[attribute] or ""}
        yield link | _texts(node)


def _texts(node: LexborNode) -> dict[str, str]:
    texts = {name: node.attributes.get(name) for name in ("alt", "title", "rel")}
    if node.tag == "a":
        texts["text"] = " ".join(node.text().split())[:200]
    return {name: value for name, value in texts.items() if value}


def wat_records(page_url: str, metadata: dict[str, object]) -> Iterator[bytes]:
    """Yield the three metadata records that Common Crawl writes for a page."""
    http = {
        "Response-Message": {"Status": "200", "Version": "HTTP/1.1", "Reason": "OK"},
        "Headers": {
            "Content-Type": "text/html; charset=utf-8",
            "Server": "nginx",
            "Cache-Control": "max-age=0",
        },
        "Headers-Length": "380",
        "Entity-Length": "51220",
        "Entity-Digest": "sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ",
    }
    payloads: list[dict[str, object]] = [
        {"HTTP-Request-Metadata": {"Request-Message": {"Method": "GET", "Path": "/", "Version": "HTTP/1.1"}}},
        {"HTTP-Response-Metadata": {**http, "HTML-Metadata": metadata}},
        {"WARC-Metadata-Metadata": {"Metadata-Records": [{"Name": "fetchTimeMs", "Value": "121"}]}},
    ]
    for payload in payloads:
        content = json.dumps(
            {
                "Container": {"Filename": "CC-MAIN-20240517233122-00000.warc.gz", "Compressed": True},
                "Envelope": {
                    "Payload-Metadata": payload,
                    "Format": "WARC/1.0",
                    "WARC-Header-Length": "357",
                    "WARC-Header-Metadata": {"WARC-Type": "response", "WARC-Target-URI": page_url},
                },
            },
            separators=(",", ":"),
            ensure_ascii=False,
        ).encode("utf-8", "replace")
        header = (
            f"WARC/1.0\r\nWARC-Type: metadata\r\nWARC-Target-URI: {page_url}\r\n"
            "WARC-Date: 2024-05-31T01:17:49Z\r\n"
            "WARC-Record-ID: <urn:uuid:3d3f4785-c69a-4f8c-968c-d23302c55ef4>\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        yield header.encode() + content + b"\r\n\r\n"
