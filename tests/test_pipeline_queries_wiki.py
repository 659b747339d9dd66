"""Dumps in each dress: compressed or plain, UTF-8 or UTF-16, old and new, whole and cut short."""

import bz2
import gzip
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from pipeline.queries.wiki import Dump, Page, opened

REAL = Path(__file__).parent.parent / "../shared/data/text/wikipedia"

DUMP = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10">
<siteinfo><namespaces><namespace key="0" /><namespace key="1">Talk</namespace>
<namespace key="6">Bild</namespace></namespaces></siteinfo>
<page><title>Löwe</title><ns>0</ns><id>1</id>
<revision><text>old</text></revision><revision><text>A &lt;b&gt; lion</text></revision></page>
<page><title>Lion</title><ns>0</ns><redirect title="Löwe" /><revision><text>x</text></revision></page>
<page><title>Talk:Löwe</title><ns>1</ns><revision><text>x</text></revision></page>
<page><title>Empty</title><ns>0</ns><revision><text /></revision></page>
</mediawiki>
"""
PAGES = [
    Page(title="Löwe", text="A <b> lion", kind="article"),
    Page(title="Lion", text="x", kind="redirect"),
    Page(title="Talk:Löwe", text="x", kind="other"),
    Page(title="Empty", text="", kind="article"),
]
DRESSES = {
    "plain": DUMP.encode(),
    "bz2": bz2.compress(DUMP.encode()),
    "two bz2 streams": bz2.compress(DUMP[:300].encode()) + bz2.compress(DUMP[300:].encode()),
    "gz": gzip.compress(DUMP.encode()),
    "declared UTF-16": f'<?xml version="1.0" encoding="utf-16"?>{DUMP}'.encode("utf-16"),
    "UTF-16 by its byte order mark": bz2.compress(DUMP.encode("utf-16")),
    "declared Latin-1": f'<?xml version="1.0" encoding="iso-8859-1"?>{DUMP}'.encode("latin-1"),
}


def read(path: Path | str) -> tuple[list[Page], frozenset[str]]:
    with opened(str(path)) as stream:
        dump = Dump(stream, str(path))
        return list(dump.pages()), dump.media_names


@pytest.mark.parametrize("dress", DRESSES)
def test_pages_are_the_same_in_every_dress(dress: str, tmp_path: Path) -> None:
    path = tmp_path / "dump"
    path.write_bytes(DRESSES[dress])
    assert read(path) == (PAGES, frozenset({"file", "image", "media", "category", "bild"}))


def test_a_dump_is_read_from_a_url() -> None:
    with fsspec.open("memory://wiki/dump.xml.bz2", "wb") as file:
        file.write(DRESSES["bz2"])
    assert read("memory://wiki/dump.xml.bz2")[0] == PAGES


def test_a_dump_is_read_from_a_web_server_that_knows_no_ranges(tmp_path: Path) -> None:
    (tmp_path / "dump.xml.bz2").write_bytes(DRESSES["bz2"])
    handler = partial(QuietHandler, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert read(f"http://127.0.0.1:{server.server_port}/dump.xml.bz2")[0] == PAGES
        server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_dumps_before_2010_say_redirect_and_namespace_in_text_and_title(tmp_path: Path) -> None:
    old = DUMP.replace("<ns>0</ns>", "").replace("<ns>1</ns>", "")
    (tmp_path / "dump").write_text(
        old.replace('<redirect title="Löwe" />', "").replace(">x<", ">#REDIRECT [[Löwe]]<", 1)
    )
    assert [page.kind for page in read(tmp_path / "dump")[0]] == [page.kind for page in PAGES]


@pytest.mark.parametrize(("dress", "num_bytes"), [("plain", 500), ("bz2", 200), ("gz", 200)])
def test_half_a_dump_is_refused(dress: str, num_bytes: int, tmp_path: Path) -> None:
    (tmp_path / "dump").write_bytes(DRESSES[dress][:num_bytes])
    with pytest.raises(ValueError, match=r"dump cannot be read after page \d .*: fetch it again"):
        read(tmp_path / "dump")


def test_a_dump_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="missing cannot be opened"):
        read(tmp_path / "missing")


@pytest.mark.skipif(not REAL.exists(), reason="no real dumps under ../shared/data/text/wikipedia")
def test_real_dumps_are_read_to_their_ends() -> None:
    english = read(REAL / "enwiki-latest-pages-articles1-shortened.xml.bz2")[0]
    kinds = [page.kind for page in english]
    assert (len(kinds), kinds.count("article"), kinds.count("redirect")) == (206, 106, 99)
    bulgarian, media_names = read(REAL / "bgwiki-latest-pages-articles-shortened.xml.bz2")
    assert bulgarian[0].title == "Григориански календар"
    assert {"файл", "категория"} < media_names
