"""The query list builder on a dump of any size, made by repeating real pages: memory and speed.

    python -m tests.bench.queries [SIZE_MB]

In each copy every 25th word is a new one, so that the vocabulary and the bigrams keep growing as they do in a
real dump. The peer counts words and bigrams of the same cleaned text in two Counters in memory, as NLTK's
collocation finder does (written anew here), on a dump of a tenth of the size.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from filters.words import words_of
from pipeline.queries.markup import plain_text
from pipeline.queries.wiki import Dump, opened

SOURCE = Path("../shared/data/text/wikipedia/enwiki-latest-pages-articles1-shortened.xml.bz2")
EVERY = 25
HEAD = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.10/" version="0.10" xml:lang="en">\n'


def make_dump(path: Path, num_bytes: int) -> None:
    """Write a plain dump of at least so many bytes."""
    with opened(str(SOURCE)) as stream:
        pages = [page for page in Dump(stream, SOURCE.name).pages() if page.kind == "article"]
    # Words at the odd places, what lies between them at the even ones.
    texts = [re.split("([a-z]{4,})", page.text) for page in pages]
    with path.open("w", encoding="utf-8") as file:
        file.write(HEAD)
        for copy in count():
            for page, pieces in zip(pages, texts, strict=True):
                fresh = pieces.copy()
                fresh[1 :: 2 * EVERY] = [f"{word}{copy}" for word in pieces[1 :: 2 * EVERY]]
                title = f"{escape(page.title)} {copy}"
                text = escape("".join(fresh))
                file.write(
                    f"<page><title>{title}</title><ns>0</ns><revision><text>{text}</text></revision></page>\n"
                )
            if file.tell() >= num_bytes:
                break
        file.write("</mediawiki>\n")


def measure(*command: str) -> tuple[float, float]:
    """Run a command as a child; return its CPU seconds and the most memory that it had, in MB."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command], check=True, stdout=subprocess.PIPE, text=True
    )
    cpu_s, rss_mb = done.stdout.split()
    return float(cpu_s), float(rss_mb)


def ours(dump: Path, out: Path) -> tuple[float, float]:
    """Measure the command that a person types."""
    return measure(
        *(sys.executable, "-m", "pipeline", "queries", "--quiet", "--dumps", str(dump), "--out", str(out)),
        *("--bigram-min-pmi", "10", "--bigram-min-count", "10"),
    )


def count_in_memory(dump: str) -> None:
    """The peer: one Counter of words, one of bigrams."""
    words, bigrams = Counter[str](), Counter[tuple[str, str]]()
    with opened(dump) as stream:
        for line in _lines(Dump(stream, dump)):
            words.update(line)
            bigrams.update(pairwise(line))


def _lines(dump: Dump) -> Iterator[list[str]]:
    for page in dump.pages():
        for line in plain_text(page.text, dump.media_names).splitlines():
            yield words_of(line).split()


def main(size_mb: int) -> None:
    """Print the figures; the last line is JSON."""
    with tempfile.TemporaryDirectory() as folder:
        dump, tenth = Path(folder) / "dump.xml", Path(folder) / "tenth.xml"
        make_dump(dump, size_mb * 1_000_000)
        make_dump(tenth, size_mb * 100_000)
        whole_mb, tenth_mb = dump.stat().st_size / 1e6, tenth.stat().st_size / 1e6
        cpu_s, rss_mb = ours(dump, Path(folder) / "list")
        facts = json.loads((Path(folder) / "list/list.json").read_bytes())
        runs_mb = sum(path.stat().st_size for path in (Path(folder) / "list").rglob("*.run")) / 1e6
        tenth_cpu_s, tenth_rss_mb = ours(tenth, Path(folder) / "tenth")
        peer_cpu_s, peer_rss_mb = measure(sys.executable, "-m", "tests.bench.queries", "peer", str(tenth))
    print(
        f"{whole_mb:,.0f} MB of dump: {cpu_s:.1f} CPU s, {rss_mb:.0f} MB of memory; "
        f"a tenth: {tenth_cpu_s:.1f} s, {tenth_rss_mb:.0f} MB"
    )
    print(f"peer, a tenth: {peer_cpu_s:.1f} CPU s, {peer_rss_mb:.0f} MB")
    result = {
        "size_mb": round(whole_mb),
        "num_words": facts["corpus"]["num_words"],
        "num_queries": facts["num_queries"],
        "cpu_s": round(cpu_s, 1),
        "mb_per_cpu_s": round(whole_mb / cpu_s, 2),
        "rss_mb": round(rss_mb),
        "runs_mb": round(runs_mb),
        "tenth_mb_per_cpu_s": round(tenth_mb / tenth_cpu_s, 2),
        "tenth_rss_mb": round(tenth_rss_mb),
        "peer_tenth_mb_per_cpu_s": round(tenth_mb / peer_cpu_s, 2),
        "peer_tenth_rss_mb": round(peer_rss_mb),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1:2] == ["peer"]:
        count_in_memory(sys.argv[2])
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 2_000)
