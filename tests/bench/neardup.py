"""All pairs within 4 of 64 bits among 1 and 10 million hashes, against brute force and against faiss.

The hashes are random, and some of them are others with up to four bits flipped (50,000 of a million). faiss
(IndexBinaryMultiHash) is set up so that it misses nothing either. Each runs in a process of its own, on one
core; memory is the largest resident set over that of the bare interpreter with numpy.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
PEER_PYTHON = ROOT / ".venv-peers/bin/python"
MILLION, MAX_DISTANCE, NUM_CHECKED = 1_000_000, 4, 50_000
ROUNDS = {MILLION: 5, 10 * MILLION: 3}


def make_hashes(number: int, num_planted: int) -> np.ndarray:
    """Return distinct uint64 hashes, so many of which lie within four bits of another."""
    rng = np.random.default_rng(number)
    hashes = rng.integers(0, 2**64, number, dtype=np.uint64)
    originals = hashes[rng.integers(num_planted, number, num_planted)]
    for flips in range(4):
        flipped = rng.integers(0, 5, num_planted) > flips
        originals ^= np.where(flipped, np.uint64(1) << rng.integers(0, 64, num_planted, dtype=np.uint64), 0)
    hashes[:num_planted] = originals
    return rng.permutation(np.unique(hashes))


def serve(path: Path) -> None:
    """In a process of its own: find the pairs once per line of input; report what it took."""
    from filters.near import near_pairs

    bare_mb, hashes = resident_mb(), np.load(path)
    for _ in sys.stdin:
        started = time.process_time()
        pairs = near_pairs(hashes, MAX_DISTANCE)
        seconds = time.process_time() - started
        report = {"cpu_s": seconds, "num_pairs": len(pairs), "rss_mb": resident_mb() - bare_mb}
        np.save(path.with_suffix(".pairs.npy"), pairs)
        print(json.dumps(report), flush=True)


def resident_mb() -> float:
    """Return the largest resident set that this process has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM"))


def ours(path: Path, rounds: int) -> list[dict[str, float]]:
    """Return what so many rounds took."""
    command = [sys.executable, "-m", "tests.bench.neardup", str(path)]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, input="\n" * rounds, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=one_thread
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def peer(path: Path) -> dict[str, float]:
    """Return what faiss took."""
    command = [str(PEER_PYTHON), "-m", "tests.bench.peer_faiss", str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    report: dict[str, float] = json.loads(done.stdout)
    return report


def recall(path: Path) -> float:
    """Return which share of the pairs of NUM_CHECKED hashes with all others is found, by brute force."""
    hashes, pairs = np.load(path), np.load(path.with_suffix(".pairs.npy"))
    found = {(int(first), int(second)) for first, second in pairs}
    num_true = num_found = 0
    for row in range(NUM_CHECKED):
        near = np.flatnonzero(np.bitwise_count(hashes ^ hashes[row]) <= MAX_DISTANCE)
        others = [int(other) for other in near if other != row]
        num_true += len(others)
        num_found += sum((min(row, other), max(row, other)) in found for other in others)
    print(f"{num_true:,} pairs of {NUM_CHECKED:,} hashes by brute force, {num_found:,} of them found")
    return num_found / num_true


def main() -> None:
    """Measure and print."""
    us: dict[int, float] = {}
    mb: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for number, rounds in ROUNDS.items():
            path = Path(name) / f"{number}.npy"
            np.save(path, make_hashes(number, number // 20))
            reports = ours(path, rounds)
            each = [report["cpu_s"] / number * 1e6 for report in reports]
            us[number], mb[number] = statistics.median(each), reports[-1]["rss_mb"]
            print(
                f"{number:,} hashes: {us[number]:.3f} us an item ({min(each):.3f} to {max(each):.3f}), "
                f"{mb[number]:,.0f} MB, {reports[0]['num_pairs']:,} pairs"
            )
            if number == MILLION:
                found, faiss = recall(path), peer(path)
                assert faiss["num_pairs"] == reports[0]["num_pairs"], (faiss, reports[0])
    peer_us = faiss["cpu_s"] / MILLION * 1e6
    print(f"faiss, the same pairs: {peer_us:.2f} us an item")
    result = {
        "recall": found,
        "us_per_item": round(us[MILLION], 3),
        "us_per_item_10m": round(us[10 * MILLION], 3),
        "growth": round(us[10 * MILLION] / us[MILLION], 2),
        "rss_mb": round(mb[MILLION]),
        "rss_mb_10m": round(mb[10 * MILLION]),
        "peer_us_per_item": round(peer_us, 2),
        "ratio": round(peer_us / us[MILLION], 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    serve(Path(sys.argv[1])) if sys.argv[1:] else main()
