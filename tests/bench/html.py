"""Pages per CPU second against MetaCLIP's HTML parser on the same real pages; what it finds is found too.

Only parsing is measured, on pages in memory: reading the WARC file costs both the same. A text counts as
found when the same address has it, white space aside (the peer takes line ends out, we make them blanks) and
the scheme too (the peer ignores <base>, which changes it on one page). Addresses that are none of the web
(data:, javascript:) are left out of the comparison.
"""

import json
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.crawl_pages import real_pages
from tests.bench.wat import PEER_PYTHON, ask

NUM_COPIES, NUM_ROUNDS = 4, 11


def serve(pages_at: Path, rows_at: Path, copies: int) -> None:
    """Parse all pages so many times per line of input; report what it took."""
    from pipeline.crawl_files.charsets import decoded
    from pipeline.crawl_files.html import find_pictures

    pages = pickle.loads(pages_at.read_bytes())
    for _ in sys.stdin:
        started = time.process_time()
        for _ in range(copies):
            rows = [(url, row) for url, html in pages for row in find_pictures(decoded(html), url)]
        print(json.dumps({"cpu_s": time.process_time() - started, "num_rows": len(rows)}), flush=True)
        rows_at.write_text(json.dumps([(url, row.url, row.caption, row.origin) for url, row in rows]))


def key(page: str, url: str, text: str) -> tuple[str, str, str]:
    """Return what is compared."""
    return page, "".join(url.partition("://")[2].split()), "".join(text.split())


def main() -> int:
    """Print one line of JSON: the ratio of pages per CPU second, and what only the peer found."""
    if not PEER_PYTHON.exists():
        sys.stderr.write("the peer is not installed: make peers\n")
        return 2
    pages = real_pages()
    seconds: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        pages_at, places = Path(folder) / "pages", [Path(folder) / "ours", Path(folder) / "peer"]
        pages_at.write_bytes(pickle.dumps(pages))
        sides = [
            subprocess.Popen(
                [python, "-m", f"tests.bench.{name}", str(pages_at), str(place), str(NUM_COPIES)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for python, name, place in zip(
                (sys.executable, str(PEER_PYTHON)), ("html", "peer_html"), places, strict=True
            )
        ]
        for side in sides:  # what is loaded at its first use is no part of a rate
            ask(side)
        for _ in range(NUM_ROUNDS):
            for number, side in enumerate(sides):
                seconds[number].append(ask(side)["cpu_s"])
        for side in sides:
            side.communicate()
        ours, theirs = (json.loads(place.read_text()) for place in places)
    found = {key(page, url, text) for page, url, text, _ in ours}
    wanted = {key(*row) for row in theirs if row[1].startswith(("http://", "https://"))}
    num_pages = len(pages) * NUM_COPIES
    ratios = sorted(peer / our for our, peer in zip(*seconds, strict=True))
    rates = [sorted(round(num_pages / value) for value in side) for side in seconds]
    print(
        json.dumps(
            {
                "ratio": round(statistics.median(ratios), 2),
                "ratio_low": round(ratios[0], 2),
                "ratio_high": round(ratios[-1], 2),
                "pages_per_s": rates[0],
                "peer_pages_per_s": rates[1],
                "num_pages": len(pages),
                "num_bytes": sum(len(html) for _, html in pages),
                "found": len(found),
                "origins": Counter(origin for *_, origin in ours),
                "peer_found": len(wanted),
                "only_peer": len(wanted - found),
            }
        )
    )
    for row in sorted(wanted - found)[:10]:
        sys.stderr.write(f"only the peer found {row}\n")
    return 0 if wanted <= found else 1


if __name__ == "__main__":
    if len(sys.argv) == 4:
        serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main())
