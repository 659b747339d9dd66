"""WAT records per CPU second, against cc2dataset's extraction function on the same bytes, and its rows.

Ours is measured to the Arrow blocks that a build stores, cc2dataset's to its list of dicts. Each runs in a
process of its own; rounds take turns. Then the real files of the shared data are read by both.
"""

import io
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.crawl_pages import WARC, write_wat

NUM_COPIES, NUM_ROUNDS = 40, 11
PEER_PYTHON = Path(__file__).parents[2] / ".venv-peers/bin/python"


def serve(path: Path, rows_at: Path) -> None:
    """Read a WAT file once per line of input; report what it took."""
    from pipeline.crawl_files.rows import Unreadable, to_blocks
    from pipeline.crawl_files.wat import read_wat

    content = path.read_bytes()
    for _ in sys.stdin:
        started = time.process_time()
        pages = (page for page in read_wat(io.BytesIO(content)) if not isinstance(page, Unreadable))
        blocks = list(to_blocks(pages, "common_crawl", "pages.warc.wat.gz"))
        seconds = time.process_time() - started
        print(json.dumps({"cpu_s": seconds, "num_rows": sum(len(block) for block in blocks)}), flush=True)
        rows = [row for block in blocks for row in block.to_pylist()]
        rows_at.write_text(
            json.dumps(sorted({(row["url"], row["caption"], row["page_url"]) for row in rows}))
        )


def start(path: Path, rows_at: Path, peer: bool) -> "subprocess.Popen[str]":
    """Start one side."""
    script = (
        [str(PEER_PYTHON), "-m", "tests.bench.peer_wat"]
        if peer
        else [sys.executable, "-m", "tests.bench.wat"]
    )
    command = [*script, str(path), str(rows_at)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def ask(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Let one side do a round."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


def compare(path: Path, num_rounds: int) -> tuple[list[float], list[float], set[str], set[str]]:
    """Return CPU seconds of each round and the rows, ours then the peer's."""
    seconds: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as folder:
        places = [Path(folder) / name for name in ("ours.json", "peer.json")]
        sides = [start(path, place, peer=bool(number)) for number, place in enumerate(places)]
        for side in sides:  # what is loaded at its first use is no part of a rate
            ask(side)
        for _ in range(num_rounds):
            for number, side in enumerate(sides):
                seconds[number].append(ask(side)["cpu_s"])
        for side in sides:
            side.communicate()
        ours, theirs = ({json.dumps(row) for row in json.loads(place.read_text())} for place in places)
    return *seconds, ours, theirs


def main() -> int:
    """Print one line of JSON: ratio of records per CPU second, and rows that only the peer found."""
    if not PEER_PYTHON.exists():
        sys.stderr.write("the peer is not installed: make peers\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pages.warc.wat.gz"
        num_records = write_wat(path, NUM_COPIES)
        num_bytes = path.stat().st_size
        ours_s, peer_s, ours, theirs = compare(path, NUM_ROUNDS)
    missing = len(theirs - ours)
    for real in sorted((WARC / "commoncrawl").glob("*.wat*")):
        _, _, real_ours, real_theirs = compare(real, 1)
        missing += len(real_theirs - real_ours)
    rates = [sorted(num_records / value for value in side) for side in (ours_s, peer_s)]
    ratios = sorted(peer / our for our, peer in zip(ours_s, peer_s, strict=True))
    print(
        json.dumps(
            {
                "ratio": round(statistics.median(ratios), 2),
                "ratio_low": round(ratios[0], 2),
                "ratio_high": round(ratios[-1], 2),
                "records_per_s": [round(rate) for rate in rates[0]],
                "peer_records_per_s": [round(rate) for rate in rates[1]],
                "num_records": num_records,
                "num_bytes": num_bytes,
                "num_rows": len(ours),
                "peer_num_rows": len(theirs),
                "only_peer": missing,
            }
        )
    )
    return 0 if missing == 0 else 1


if __name__ == "__main__":
    if len(sys.argv) == 3:
        serve(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        sys.exit(main())
